// Dot products in the exponent domain by counting: signed counters of how often each exponent occurs, kept in registers.
//
// A code is {zero, sign, exponent}: zero set means the exact zero, whose other bits do not matter. For each pair without
// zero, the counters of i + j, and with HISTOGRAMS = 4 those of i, of j and of the sign, change by the product of the signs.
// Counters store value + INIT (accumulator_bank).
// Rows of a drain: 0 ... 2^(N+1) - 2 are i + j = 0 ...; with four histograms 2^(N+1) - 1 is the sign, 2^(N+1) + i counts i of x,
// 3 * 2^N + j counts j of w: 2^(N+2) rows without a hole. A drain takes the place of a pair.
// Latency: a pair is counted two edges after it is given; data_o shows a drained row one edge after drain_i.
// Source: DNA-TEQ (arXiv 2306.16430) for counting; beta = 0 (HISTOGRAMS = 1), gating and INIT are ours.
module counting_lane #(
    parameter int N = 3,
    parameter int COUNTER_BITS = 10,
    parameter int HISTOGRAMS = 1,
    localparam int ROW_BITS = (HISTOGRAMS == 4) ? N + 2 : N + 1
) (
    input  logic                    clk_i,
    input  logic                    rst_ni,
    input  logic                    valid_i,
    input  logic                    x_zero_i,
    input  logic                    x_sign_i,
    input  logic [           N-1:0] x_exponent_i,
    input  logic                    w_zero_i,
    input  logic                    w_sign_i,
    input  logic [           N-1:0] w_exponent_i,
    input  logic                    drain_i,
    input  logic [    ROW_BITS-1:0] drain_row_i,
    output logic [COUNTER_BITS-1:0] data_o
);
  logic pair, fire, pair_q, drain_q, down_q, clk_operands;
  logic [N:0] sum_q;
  logic [COUNTER_BITS-1:0] one;

  assign pair = valid_i & ~x_zero_i & ~w_zero_i & ~drain_i;
  assign fire = pair | drain_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      pair_q  <= 1'b0;
      drain_q <= 1'b0;
    end else begin
      pair_q  <= pair;
      drain_q <= drain_i;
    end
  end

  clock_gate u_operand_gate (
      .clk_i,
      .en_i (fire),
      .clk_o(clk_operands)
  );

  always_ff @(posedge clk_operands) begin
    sum_q  <= drain_i ? drain_row_i[N:0] : {1'b0, x_exponent_i} + {1'b0, w_exponent_i};
    down_q <= x_sign_i ^ w_sign_i;
  end

  // Written as bits: Yosys 0.23 reads a conditional of size casts, negated or not, as always +1.
  assign one = {{(COUNTER_BITS - 1) {down_q}}, 1'b1};

  generate
    if (HISTOGRAMS == 4) begin : gen_four
      logic [1:0] bank_q;
      logic in_sums, in_sign, in_x, in_w;
      logic [N-1:0] x_q, w_q;
      logic [COUNTER_BITS-1:0] read_sums, read_sign, read_x, read_w;

      always_ff @(posedge clk_operands) begin
        bank_q <= drain_row_i[N+1:N];
        x_q    <= drain_i ? drain_row_i[N-1:0] : x_exponent_i;
        w_q    <= drain_i ? drain_row_i[N-1:0] : w_exponent_i;
      end
      assign in_sign = &sum_q & ~bank_q[1];  // no pair has a sum of all ones
      assign in_sums = ~bank_q[1] & ~in_sign;
      assign in_x    = bank_q[1] & ~bank_q[0];
      assign in_w    = bank_q[1] & bank_q[0];

      accumulator_bank #(.ROWS((2 << N) - 1), .INDEX_BITS(N + 1), .WIDTH(COUNTER_BITS)) u_sums (
          .clk_i, .en_i(pair_q | (drain_q & in_sums)), .index_i(sum_q), .drain_i(drain_q), .addend_i(one), .carry_i(1'b0), .read_o(read_sums)
      );
      accumulator_bank #(.ROWS(1 << N), .INDEX_BITS(N), .WIDTH(COUNTER_BITS)) u_x (
          .clk_i, .en_i(pair_q | (drain_q & in_x)), .index_i(x_q), .drain_i(drain_q), .addend_i(one), .carry_i(1'b0), .read_o(read_x)
      );
      accumulator_bank #(.ROWS(1 << N), .INDEX_BITS(N), .WIDTH(COUNTER_BITS)) u_w (
          .clk_i, .en_i(pair_q | (drain_q & in_w)), .index_i(w_q), .drain_i(drain_q), .addend_i(one), .carry_i(1'b0), .read_o(read_w)
      );
      accumulator_bank #(.ROWS(1), .INDEX_BITS(1), .WIDTH(COUNTER_BITS)) u_sign (
          .clk_i, .en_i(pair_q | (drain_q & in_sign)), .index_i(1'b0), .drain_i(drain_q), .addend_i(one), .carry_i(1'b0), .read_o(read_sign)
      );
      // Still while pairs are counted: only drains open it.
      assign data_o = ({COUNTER_BITS{drain_q & in_sums}} & read_sums) | ({COUNTER_BITS{drain_q & in_sign}} & read_sign) |
                      ({COUNTER_BITS{drain_q & in_x}} & read_x) | ({COUNTER_BITS{drain_q & in_w}} & read_w);
    end else begin : gen_one
      logic [COUNTER_BITS-1:0] read;
      accumulator_bank #(.ROWS((2 << N) - 1), .INDEX_BITS(N + 1), .WIDTH(COUNTER_BITS)) u_sums (
          .clk_i, .en_i(pair_q | drain_q), .index_i(sum_q), .drain_i(drain_q), .addend_i(one), .carry_i(1'b0), .read_o(read)
      );
      assign data_o = {COUNTER_BITS{drain_q}} & read;
    end
  endgenerate
endmodule
