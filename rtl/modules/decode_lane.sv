// Codes to 7-bit levels by a table each, then multiply-accumulate: exact for codes whose levels lie on an int8 grid.
//
// Codes as in counting_lane. Level e of a table is bits 7e ... 7e + 6 of its port; the tables are registers that lanes share
// (level_table). Sign and magnitude are multiplied: 7 x 7 bits. The accumulator stores value + INIT (accumulator_bank).
// Latency: a pair is added two edges after it is given; data_o shows the accumulator one edge after drain_i. Source: ours.
module decode_lane #(
    parameter int N = 3,
    parameter int ACCUMULATOR_BITS = 24
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
  logic pair, fire_q, drain_q, down_q, clk_operands;
  logic [6:0] x_level, w_level, x_q, w_q;
  logic [13:0] product;
  logic [ACCUMULATOR_BITS-1:0] magnitude, addend, read;

  assign pair = valid_i & ~x_zero_i & ~w_zero_i & ~drain_i;

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
    x_q    <= x_level;
    w_q    <= w_level;
    down_q <= x_sign_i ^ w_sign_i;
  end

  assign product   = x_q * w_q;
  assign magnitude = {{(ACCUMULATOR_BITS - 14) {1'b0}}, product};
  assign addend    = magnitude ^ {ACCUMULATOR_BITS{down_q}};

  accumulator_bank #(.ROWS(1), .INDEX_BITS(1), .WIDTH(ACCUMULATOR_BITS)) u_sum (
      .clk_i, .en_i(fire_q), .index_i(1'b0), .drain_i(drain_q), .addend_i(addend), .carry_i(down_q), .read_o(read)
  );
  assign data_o = {ACCUMULATOR_BITS{drain_q}} & read;
endmodule
