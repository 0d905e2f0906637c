// Multiply-accumulate of signs and 7-bit magnitudes, gated where an operand is zero: int8 of symmetric grids (-127 ... 127), and what
// decode_lane does behind its tables.
//
// Against two's complement (int8_mac_lane) a small value that changes its sign flips one bit and not eight, and the multiplier has
// 7 x 7 bits. The zero flags come from the edge of the array. The accumulator stores value + INIT (accumulator_bank).
// PRODUCT_REGISTER = 1: a register between product and sum, so that the multiplier's glitches end there.
// Latency: a pair is added two edges after it is given; data_o shows the accumulator one edge after drain_i; each one more with the
// product register. Source: ours.
module sign_magnitude_mac_lane #(
    parameter int ACCUMULATOR_BITS = 24,
    parameter int PRODUCT_REGISTER = 0
) (
    input  logic                        clk_i,
    input  logic                        rst_ni,
    input  logic                        valid_i,
    input  logic                        x_zero_i,
    input  logic                        x_sign_i,
    input  logic [                 6:0] x_level_i,
    input  logic                        w_zero_i,
    input  logic                        w_sign_i,
    input  logic [                 6:0] w_level_i,
    input  logic                        drain_i,
    output logic [ACCUMULATOR_BITS-1:0] data_o
);
  logic pair, fire_q, drain_q, down_q, clk_operands;
  logic sum_fire, sum_drain, sum_down;
  logic [6:0] x_q, w_q;
  logic [13:0] product, sum_product;
  logic [ACCUMULATOR_BITS-1:0] magnitude, addend, read;

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
    x_q    <= x_level_i;
    w_q    <= w_level_i;
    down_q <= x_sign_i ^ w_sign_i;
  end

  assign product = x_q * w_q;
  generate
    if (PRODUCT_REGISTER) begin : gen_product_register
      logic clk_product, sum_fire_q, sum_drain_q, sum_down_q;
      logic [13:0] product_q;
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
      always_ff @(posedge clk_product) begin
        product_q  <= product;
        sum_down_q <= down_q;
      end
      assign sum_product = product_q;
      assign sum_down    = sum_down_q;
      assign sum_fire    = sum_fire_q;
      assign sum_drain   = sum_drain_q;
    end else begin : gen_one_sum
      assign sum_product = product;
      assign sum_down    = down_q;
      assign sum_fire    = fire_q;
      assign sum_drain   = drain_q;
    end
  endgenerate
  assign magnitude = {{(ACCUMULATOR_BITS - 14) {1'b0}}, sum_product};
  assign addend    = magnitude ^ {ACCUMULATOR_BITS{sum_down}};

  accumulator_bank #(.ROWS(1), .INDEX_BITS(1), .WIDTH(ACCUMULATOR_BITS)) u_sum (
      .clk_i, .en_i(sum_fire), .index_i(1'b0), .drain_i(sum_drain), .addend_i(addend), .carry_i(sum_down), .read_o(read)
  );
  assign data_o = {ACCUMULATOR_BITS{sum_drain}} & read;
endmodule
