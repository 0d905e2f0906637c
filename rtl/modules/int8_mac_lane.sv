// The baseline: signed 8-bit multiply-accumulate, gated where an operand is zero.
//
// Operands: two's complement; the zero flags come from the edge of the array, as the codes' do. The accumulator stores
// value + INIT (accumulator_bank); with 24 bits it lasts for 490 pairs of -128 * -128, as 10-bit counters do.
// Latency: a pair is added two edges after it is given; data_o shows the accumulator one edge after drain_i. Source: ours.
module int8_mac_lane #(
    parameter int ACCUMULATOR_BITS = 24
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
  localparam int A = ACCUMULATOR_BITS;
  localparam logic [A-1:0] CORRECTION = {{(A - 15) {1'b1}}, 15'h0100};
  logic [8*A-1:0] rows;
  genvar k;
  generate
    for (k = 0; k < 8; k = k + 1) begin : gen_row
      logic [7:0] row;
      if (k < 7) assign row = {~(x_q[7] & w_q[k]), x_q[6:0] & {7{w_q[k]}}};
      else assign row = {x_q[7] & w_q[7], ~(x_q[6:0] & {7{w_q[7]}})};
      assign rows[k*A+:A] = {{(A - 8) {1'b0}}, row} << k;
    end
  endgenerate
  assign addend = rows[0+:A] + rows[A+:A] + rows[2*A+:A] + rows[3*A+:A] + rows[4*A+:A] + rows[5*A+:A] + rows[6*A+:A] +
                  rows[7*A+:A] + CORRECTION;

  accumulator_bank #(.ROWS(1), .INDEX_BITS(1), .WIDTH(ACCUMULATOR_BITS)) u_sum (
      .clk_i, .en_i(fire_q), .index_i(1'b0), .drain_i(drain_q), .addend_i(addend), .carry_i(1'b0), .read_o(read)
  );
  assign data_o = {ACCUMULATOR_BITS{drain_q}} & read;
endmodule
