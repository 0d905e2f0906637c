// Codes to 7-bit levels by a table each, then multiply-accumulate: exact for codes whose levels lie on an int8 grid.
//
// Codes as in counting_lane. Level e of a table is bits 7e ... 7e + 6 of its port; the tables are registers that lanes share
// (level_table). Sign and magnitude are multiplied (sign_magnitude_mac_lane, which says what PRODUCT_REGISTER and the latencies are).
// Source: ours.
module decode_lane #(
    parameter int N = 3,
    parameter int ACCUMULATOR_BITS = 24,
    parameter int PRODUCT_REGISTER = 0
) (
    input  logic                        clk_i,
    input  logic                        rst_ni,
    input  logic                        valid_i,
    input  logic                        x_zero_i,
    input  logic                        x_sign_i,
    input  logic [               N-1:0] x_exponent_i,
    input  logic                        w_zero_i,
    input  logic                        w_sign_i,
    input  logic [               N-1:0] w_exponent_i,
    input  logic [          7*2**N-1:0] x_levels_i,
    input  logic [          7*2**N-1:0] w_levels_i,
    input  logic                        drain_i,
    output logic [ACCUMULATOR_BITS-1:0] data_o
);
  logic [6:0] x_level, w_level;

  genvar b, e;
  generate
    for (b = 0; b < 7; b = b + 1) begin : gen_bit
      logic [2**N-1:0] x_column, w_column;
      for (e = 0; e < 2 ** N; e = e + 1) begin : gen_level
        assign x_column[e] = x_levels_i[7*e+b];
        assign w_column[e] = w_levels_i[7*e+b];
      end
      assign x_level[b] = x_column[x_exponent_i];
      assign w_level[b] = w_column[w_exponent_i];
    end
  endgenerate

  sign_magnitude_mac_lane #(.ACCUMULATOR_BITS(ACCUMULATOR_BITS), .PRODUCT_REGISTER(PRODUCT_REGISTER)) u_mac (
      .clk_i, .rst_ni, .valid_i, .x_zero_i, .x_sign_i, .x_level_i(x_level), .w_zero_i, .w_sign_i, .w_level_i(w_level), .drain_i,
      .data_o
  );
endmodule
