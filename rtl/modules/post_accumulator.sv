// Post-processing of multiply-accumulate lanes (INT8, decode): the drained accumulator, summed over an output's drains, times the
// channel's scale.
//
// Numbers: term_i is a drained row, value + INIT (accumulator_bank), TERM_BITS; the sum is signed, SUM_BITS, and wraps beyond.
// last_i goes with the output's last drain. Latency: 5 edges from it to valid_o. Source: ours.
module post_accumulator #(
    parameter int TERM_BITS = 24,
    parameter int SUM_BITS = 40
) (
    input  logic                 clk_i,
    input  logic                 rst_ni,
    input  logic                 term_valid_i,
    input  logic                 last_i,
    input  logic [TERM_BITS-1:0] term_i,
    input  logic [         15:0] scale_i,      // with last_i
    input  logic [          4:0] pre_shift_i,  // with last_i
    output logic                 valid_o,
    output logic                 sign_o,
    output logic [         23:0] magnitude_o
);
  localparam int PAIRS = (TERM_BITS - 3) / 2;
  localparam logic [2*PAIRS+3:0] PATTERN = {4'b1000, {PAIRS{2'b01}}};
  localparam logic [TERM_BITS-1:0] INIT = PATTERN[2*PAIRS+3-:TERM_BITS];

  logic term_q, last_q, first_q, done_q, clk_term, clk_sum, clk_scale, clk_sum_scale;
  logic [TERM_BITS-1:0] stored_q;
  logic signed [TERM_BITS:0] value;
  logic [20:0] scale_q, sum_scale_q;  // {pre-shift, scale}
  logic [SUM_BITS-1:0] sum_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {term_q, last_q, done_q} <= 3'b000;
      first_q <= 1'b1;
    end else begin
      term_q  <= term_valid_i;
      last_q  <= term_valid_i & last_i;
      done_q  <= last_q;
      first_q <= term_q ? last_q : first_q;
    end
  end

  clock_gate u_term_gate (.clk_i, .en_i(term_valid_i), .clk_o(clk_term));
  always_ff @(posedge clk_term) stored_q <= term_i;
  clock_gate u_scale_gate (.clk_i, .en_i(term_valid_i & last_i), .clk_o(clk_scale));
  always_ff @(posedge clk_scale) scale_q <= {pre_shift_i, scale_i};
  clock_gate u_sum_scale_gate (.clk_i, .en_i(last_q), .clk_o(clk_sum_scale));
  always_ff @(posedge clk_sum_scale) sum_scale_q <= scale_q;

  assign value = $signed({1'b0, stored_q}) - $signed({1'b0, INIT});
  clock_gate u_sum_gate (.clk_i, .en_i(term_q), .clk_o(clk_sum));
  always_ff @(posedge clk_sum) begin
    sum_q <= (first_q ? {SUM_BITS{1'b0}} : sum_q) + {{(SUM_BITS - TERM_BITS - 1) {value[TERM_BITS]}}, value};
  end

  channel_scale #(.SUM_BITS(SUM_BITS)) u_scale (
      .clk_i, .rst_ni, .valid_i(done_q), .sum_i(sum_q), .scale_i(sum_scale_q[15:0]), .pre_shift_i(sum_scale_q[20:16]),
      .valid_o, .sign_o, .magnitude_o
  );
endmodule
