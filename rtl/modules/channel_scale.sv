// The end of post-processing, the same for every design: an output's sum times its channel's scale.
//
// Numbers: the sum is signed, SUM_BITS; |sum| is shifted right by pre_shift_i (0 ... 31) and limited to 24 bits, multiplied by
// a 16-bit fraction (Q0.16) and rounded half up: sign and 24-bit magnitude leave. Scale and shift come with the sum.
// Latency: 3 edges. Source: ours.
module channel_scale #(
    parameter int SUM_BITS = 40
) (
    input  logic                clk_i,
    input  logic                rst_ni,
    input  logic                valid_i,
    input  logic [SUM_BITS-1:0] sum_i,
    input  logic [        15:0] scale_i,
    input  logic [         4:0] pre_shift_i,
    output logic                valid_o,
    output logic                sign_o,
    output logic [        23:0] magnitude_o
);
  logic valid_1_q, valid_2_q, clk_1, clk_2, clk_3, sign_1_q, sign_2_q;
  logic [SUM_BITS-1:0] absolute, shifted;
  logic [23:0] magnitude_1_q;
  logic [15:0] scale_1_q;
  logic [39:0] product_2_q, rounded;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {valid_1_q, valid_2_q, valid_o} <= 3'b000;
    else {valid_1_q, valid_2_q, valid_o} <= {valid_i, valid_1_q, valid_2_q};
  end

  assign absolute = (sum_i ^ {SUM_BITS{sum_i[SUM_BITS-1]}}) + {{(SUM_BITS - 1) {1'b0}}, sum_i[SUM_BITS-1]};
  assign shifted  = absolute >> pre_shift_i;

  clock_gate u_gate_1 (.clk_i, .en_i(valid_i), .clk_o(clk_1));
  always_ff @(posedge clk_1) begin
    sign_1_q      <= sum_i[SUM_BITS-1];
    magnitude_1_q <= (|shifted[SUM_BITS-1:24]) ? 24'hffffff : shifted[23:0];
    scale_1_q     <= scale_i;
  end

  clock_gate u_gate_2 (.clk_i, .en_i(valid_1_q), .clk_o(clk_2));
  always_ff @(posedge clk_2) begin
    sign_2_q    <= sign_1_q;
    product_2_q <= magnitude_1_q * scale_1_q;
  end

  assign rounded = product_2_q + 40'h8000;  // at most (2^24 - 1)(2^16 - 1) + 2^15: no carry out
  clock_gate u_gate_3 (.clk_i, .en_i(valid_2_q), .clk_o(clk_3));
  always_ff @(posedge clk_3) begin
    sign_o      <= sign_2_q;
    magnitude_o <= rounded[39:16];
  end
endmodule
