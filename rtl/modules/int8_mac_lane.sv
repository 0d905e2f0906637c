// The baseline: signed 8-bit multiply-accumulate, gated where an operand is zero.
//
// Operands: two's complement; the zero flags come from the edge of the array, as the codes' do. The accumulator stores
// value + INIT (accumulator_bank); with 24 bits it lasts for 490 pairs of -128 * -128, as 10-bit counters do.
// PRODUCT_REGISTER = 1: a register between product and sum, so that the multiplier's glitches end there.
// Latency: a pair is added two edges after it is given; data_o shows the accumulator one edge after drain_i; each one more with the
// product register. Source: ours.
module int8_mac_lane #(
    parameter int ACCUMULATOR_BITS = 24,
    parameter int PRODUCT_REGISTER = 0
) (
    input  logic                        clk_i,
    input  logic                        rst_ni,
    input  logic                        valid_i,
    input  logic                        x_zero_i,
    input  logic [                 7:0] x_i,
    input  logic                        w_zero_i,
    input  logic [                 7:0] w_i,
    input  logic                        drain_i,
    output logic [ACCUMULATOR_BITS-1:0] data_o
);
  logic pair, fire_q, drain_q, clk_operands;
  logic [7:0] x_q, w_q;
  logic sum_fire, sum_drain;
  logic [ACCUMULATOR_BITS-1:0] addend, read;

  assign pair = valid_i & ~x_zero_i & ~w_zero_i & ~drain_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      fire_q  <= 1'b0;
      drain_q <= 1'b0;
    end else begin
      fire_q  <= pair | drain_i;
      drain_q <= drain_i;
    end
  end

  clock_gate u_operand_gate (.clk_i, .en_i(pair), .clk_o(clk_operands));
  always_ff @(posedge clk_operands) begin
    x_q <= x_i;
    w_q <= w_i;
  end

  // Baugh-Wooley: partial products with one sign bit are inverted, and their weights sum up to the constant 2^8 - 2^15. Without
  // sign extension of the rows the lane is 9 % smaller than what Yosys makes of a signed product.
  localparam int A = PRODUCT_REGISTER ? 16 : ACCUMULATOR_BITS;
  localparam logic [A-1:0] CORRECTION = {{(A - 15) {1'b1}}, 15'h0100};
  logic [8*A-1:0] rows;
  logic [A-1:0] product;
  genvar k;
  generate
    for (k = 0; k < 8; k = k + 1) begin : gen_row
      logic [7:0] row;
      if (k < 7) assign row = {~(x_q[7] & w_q[k]), x_q[6:0] & {7{w_q[k]}}};
      else assign row = {x_q[7] & w_q[7], ~(x_q[6:0] & {7{w_q[7]}})};
      assign rows[k*A+:A] = {{(A - 8) {1'b0}}, row} << k;
    end
  endgenerate
  assign product = rows[0+:A] + rows[A+:A] + rows[2*A+:A] + rows[3*A+:A] + rows[4*A+:A] + rows[5*A+:A] + rows[6*A+:A] +
                   rows[7*A+:A] + CORRECTION;

  generate
    if (PRODUCT_REGISTER) begin : gen_product_register
      logic clk_product, sum_fire_q, sum_drain_q;
      logic [15:0] product_q;
      always_ff @(posedge clk_i or negedge rst_ni) begin
        if (!rst_ni) begin
          sum_fire_q  <= 1'b0;
          sum_drain_q <= 1'b0;
        end else begin
          sum_fire_q  <= fire_q;
          sum_drain_q <= drain_q;
        end
      end
      clock_gate u_product_gate (.clk_i, .en_i(fire_q & ~drain_q), .clk_o(clk_product));
      always_ff @(posedge clk_product) product_q <= product;
      assign addend    = {{(ACCUMULATOR_BITS - 16) {product_q[15]}}, product_q};
      assign sum_fire  = sum_fire_q;
      assign sum_drain = sum_drain_q;
    end else begin : gen_one_sum
      assign addend    = product;
      assign sum_fire  = fire_q;
      assign sum_drain = drain_q;
    end
  endgenerate

  accumulator_bank #(.ROWS(1), .INDEX_BITS(1), .WIDTH(ACCUMULATOR_BITS)) u_sum (
      .clk_i, .en_i(sum_fire), .index_i(1'b0), .drain_i(sum_drain), .addend_i(addend), .carry_i(1'b0), .read_o(read)
  );
  assign data_o = {ACCUMULATOR_BITS{sum_drain}} & read;
endmodule
