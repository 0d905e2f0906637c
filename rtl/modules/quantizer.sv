// Activations to codes by comparing magnitudes with loaded thresholds: exact, whatever the curve of the levels.
//
// Magnitudes are unsigned integers: fixed point, or the low 31 bits of a float32 (FLOAT = 1; NaN gives zero). Threshold t of 2^N
// ascending ones is the smallest magnitude of level t or more, so that the number of thresholds <= magnitude is 0 for the zero
// code and exponent + 1 else. Levels of a sign are limited by its count; a sign without levels gives zero.
// Loads: addresses 0 ... 2^N - 1 are thresholds, 2^N holds {negative levels, positive levels}, N + 1 bits each.
// A binary search of one comparison a stage: N stages, 2^s thresholds to choose from in stage s.
// Latency: N + 2 edges. Source: thresholds as in src/core/code.cc (ours); the pipelined search is ours.
module quantizer #(
    parameter int N = 3,
    parameter int MAGNITUDE_BITS = 24,
    parameter int FLOAT = 0
) (
    input  logic                      clk_i,
    input  logic                      rst_ni,
    input  logic                      valid_i,
    input  logic                      sign_i,
    input  logic [MAGNITUDE_BITS-1:0] magnitude_i,
    input  logic                      load_i,
    input  logic [               N:0] load_address_i,
    input  logic [MAGNITUDE_BITS-1:0] load_data_i,
    output logic                      valid_o,
    output logic                      zero_o,
    output logic                      sign_o,
    output logic [             N-1:0] exponent_o
);
  localparam int M = MAGNITUDE_BITS;

  logic [M*2**N-1:0] thresholds;
  logic [2*N+1:0] counts;

  level_table #(.WORDS(2 ** N), .ADDRESS_BITS(N), .WIDTH(M)) u_thresholds (
      .clk_i, .load_i(load_i & ~load_address_i[N]), .address_i(load_address_i[N-1:0]), .data_i(load_data_i),
      .words_o(thresholds)
  );
  level_table #(.WORDS(1), .ADDRESS_BITS(1), .WIDTH(2 * N + 2)) u_counts (
      .clk_i, .load_i(load_i & load_address_i[N]), .address_i(1'b0), .data_i(load_data_i[2*N+1:0]), .words_o(counts)
  );

  // Of stage s (0 ... N): what has been found of the exponent so far is its top s bits.
  logic [N:0] valid_q, sign, zero;
  logic [M*(N+1)-1:0] magnitude;
  logic [N*(N+1)-1:0] found;

  logic clk_input, nan, input_sign_q;
  logic [M-1:0] input_magnitude_q;
  clock_gate u_input_gate (.clk_i, .en_i(valid_i), .clk_o(clk_input));
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[N-1:0], valid_i};
  end
  always_ff @(posedge clk_input) begin
    input_sign_q      <= sign_i;
    input_magnitude_q <= magnitude_i;
  end
  assign sign[0] = input_sign_q;
  assign magnitude[0+:M] = input_magnitude_q;
  assign found[0+:N] = '0;
  assign nan = (FLOAT == 1) && (input_magnitude_q > 31'h7f800000);
  assign zero[0] = (input_magnitude_q < thresholds[0+:M]) | nan;

  genvar s, k, b;
  generate
    for (s = 0; s < N; s = s + 1) begin : gen_stage
      localparam int STEP = 1 << (N - 1 - s);
      logic clk_stage, at_least, sign_q, zero_q;
      logic [M-1:0] threshold, magnitude_q;
      logic [N-1:0] found_q;

      // Candidate k is threshold (2k + 1) * STEP.
      if (s == 0) begin : gen_first
        assign threshold = thresholds[STEP*M+:M];
      end else begin : gen_choice
        for (b = 0; b < M; b = b + 1) begin : gen_bit
          logic [2**s-1:0] column;
          for (k = 0; k < 2 ** s; k = k + 1) begin : gen_candidate
            assign column[k] = thresholds[(2*k+1)*STEP*M+b];
          end
          assign threshold[b] = column[found[s*N+N-s+:s]];
        end
      end
      assign at_least = magnitude[s*M+:M] >= threshold;

      clock_gate u_gate (.clk_i, .en_i(valid_q[s]), .clk_o(clk_stage));
      always_ff @(posedge clk_stage) begin
        sign_q      <= sign[s];
        zero_q      <= zero[s];
        magnitude_q <= magnitude[s*M+:M];
        found_q     <= found[s*N+:N] | ({{(N - 1) {1'b0}}, at_least} << (N - 1 - s));
      end
      assign sign[s+1] = sign_q;
      assign zero[s+1] = zero_q;
      assign magnitude[(s+1)*M+:M] = magnitude_q;
      assign found[(s+1)*N+:N] = found_q;
    end
  endgenerate

  logic clk_output;
  logic [N:0] levels, last;
  logic beyond;
  assign levels = sign[N] ? counts[2*N+1:N+1] : counts[N:0];
  assign last   = levels - 1'b1;
  assign beyond = {1'b0, found[N*N+:N]} > last;

  clock_gate u_output_gate (.clk_i, .en_i(valid_q[N]), .clk_o(clk_output));
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_o <= 1'b0;
    else valid_o <= valid_q[N];
  end
  always_ff @(posedge clk_output) begin
    zero_o     <= zero[N] | (levels == '0);
    sign_o     <= sign[N];
    exponent_o <= (zero[N] | levels == '0) ? '0 : beyond ? last[N-1:0] : found[N*N+:N];
  end
endmodule
