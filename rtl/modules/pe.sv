// A processing element: quantizes an activation a cycle, multiplies and adds it with a weight's code, and post-processes the sums.
//
// DESIGN: 0 int8, 1 counting, 2 counting in SRAM (memories inside, for simulation), 3 shift, 4 decode. HISTOGRAMS and Q as in the
// lanes; SUM_BITS of the post-processing sum. PRODUCT_REGISTER: of int8_mac_lane and decode_lane.
// Operands: activation sign and 24-bit magnitude (fixed point); weight {zero, sign, exponent[6:0]}, for int8 {zero, value[7:0]}. A
// pair is taken when valid_i and ready_o; last_i goes with an output's last pair, and its scale with it.
// After HORIZON pairs, or the last one, no pair is taken until the pipeline is empty and the lane drained: no counter can
// overflow, whatever the data. After reset the lane is drained once and the words are thrown away.
// Loads: target 0 the quantizer, 1 the powers, 2 and 3 the level tables of x and w. Result: sign and 24-bit magnitude, once an
// output. Source: DNA-TEQ (arXiv 2306.16430) for the three stages; the rest is ours.
module pe #(
    parameter int DESIGN = 1,
    parameter int N = 3,
    parameter int WIDTH = 10,  // of a counter (of its unshifted part for DESIGN 3), or of the accumulator
    parameter int HISTOGRAMS = 1,
    parameter int Q = 1,
    parameter int HORIZON = 490,
    parameter int SUM_BITS = 40,
    parameter int PRODUCT_REGISTER = 0,
    localparam int ROWS = (DESIGN == 3) ? Q : (DESIGN == 0 || DESIGN == 4) ? 1 : (HISTOGRAMS == 4) ? (4 << N) : (2 << N) - 1,
    localparam int ROW_BITS = (ROWS == 1) ? 1 : $clog2(ROWS),
    localparam int TERM_BITS = (DESIGN == 3) ? WIDTH + ((2 << N) - 2) / Q : WIDTH
) (
    input  logic        clk_i,
    input  logic        rst_ni,
    input  logic        valid_i,
    output logic        ready_o,
    input  logic        last_i,
    input  logic        x_sign_i,
    input  logic [23:0] x_magnitude_i,
    input  logic [ 8:0] weight_i,
    input  logic [15:0] scale_i,
    input  logic [ 4:0] pre_shift_i,
    input  logic        load_i,
    input  logic [ 1:0] load_target_i,
    input  logic [10:0] load_address_i,
    input  logic [23:0] load_data_i,
    output logic        valid_o,
    output logic        sign_o,
    output logic [23:0] magnitude_o
);
  localparam int QUANTIZER_LATENCY = (DESIGN == 0) ? 3 : N + 2;
  localparam int SETTLE = QUANTIZER_LATENCY + 2 + PRODUCT_REGISTER;  // edges from the last pair taken until its row is written

  typedef enum logic [1:0] {
    StClear,
    StRun,
    StWait,
    StDrain
  } state_e;

  state_e state_q;
  localparam int PAIR_BITS = $clog2(HORIZON + 1);
  logic [PAIR_BITS-1:0] pairs_q;
  logic [3:0] wait_q;
  logic [ROW_BITS-1:0] row_q, term_row_q;
  logic output_ends_q, take, drain, row_is_last, term_valid_q, term_last_q;
  logic [15:0] scale_q;
  logic [4:0] pre_shift_q;
  logic [TERM_BITS-1:0] term;

  // With a product register the term comes a cycle later; until then the scale of its output must stay.
  assign ready_o     = (state_q == StRun) & ~((PRODUCT_REGISTER != 0) & term_valid_q);
  assign take        = valid_i & ready_o;
  assign drain       = (state_q == StDrain) | (state_q == StClear);
  assign row_is_last = row_q == (ROWS - 1);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q       <= StClear;
      pairs_q       <= '0;
      wait_q        <= '0;
      row_q         <= '0;
      output_ends_q <= 1'b0;
      term_valid_q  <= 1'b0;
    end else begin
      term_valid_q <= state_q == StDrain;
      case (state_q)
        StRun: begin
          wait_q <= SETTLE;
          if (take) begin
            pairs_q <= pairs_q + 1'b1;
            if (last_i || pairs_q == HORIZON - 1) state_q <= StWait;
            output_ends_q <= last_i;
          end
        end
        StWait: begin
          wait_q <= wait_q - 4'd1;
          if (wait_q == 4'd1) state_q <= StDrain;
        end
        default: begin
          if (drain) begin
            row_q   <= row_is_last ? '0 : row_q + 1'b1;
            pairs_q <= '0;
            if (row_is_last) state_q <= StRun;
          end
        end
      endcase
    end
  end
  // What goes straight into a gated register comes from a gated one: their clocks are late by the same gate, so that it holds.
  logic clk_term, clk_take;
  clock_gate u_term_gate (.clk_i, .en_i(drain), .clk_o(clk_term));
  always_ff @(posedge clk_term) term_row_q <= row_q;
  always_ff @(posedge clk_i) term_last_q <= output_ends_q & row_is_last;
  logic term_valid, term_last;  // in the cycle of the term
  generate
    if (PRODUCT_REGISTER) begin : gen_later
      logic valid_q, last_q;
      always_ff @(posedge clk_i or negedge rst_ni) begin
        if (!rst_ni) valid_q <= 1'b0;
        else valid_q <= term_valid_q;
      end
      always_ff @(posedge clk_i) last_q <= term_last_q;
      assign term_valid = valid_q;
      assign term_last  = last_q;
    end else begin : gen_at_once
      assign term_valid = term_valid_q;
      assign term_last  = term_last_q;
    end
  endgenerate
  clock_gate u_take_gate (.clk_i, .en_i(take), .clk_o(clk_take));
  always_ff @(posedge clk_take) begin
    scale_q     <= scale_i;
    pre_shift_q <= pre_shift_i;
  end

  // Weights wait for the quantizer.
  logic [QUANTIZER_LATENCY:0] waiting;  // which of the places holds one
  logic [QUANTIZER_LATENCY-1:0] waiting_q;
  logic [9*(QUANTIZER_LATENCY+1)-1:0] weights;
  logic [8:0] weight;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) waiting_q <= '0;
    else waiting_q <= waiting[QUANTIZER_LATENCY-1:0];
  end
  assign waiting = {waiting_q, take};
  assign weights[0+:9] = weight_i;
  genvar p;
  generate
    for (p = 0; p < QUANTIZER_LATENCY; p = p + 1) begin : gen_place
      logic clk_place;
      logic [8:0] weight_q;
      clock_gate u_gate (.clk_i, .en_i(waiting[p]), .clk_o(clk_place));
      always_ff @(posedge clk_place) weight_q <= weights[9*p+:9];
      assign weights[9*(p+1)+:9] = weight_q;
    end
  endgenerate
  assign weight = weights[9*QUANTIZER_LATENCY+:9];

  generate
    if (DESIGN == 0) begin : gen_int8
      logic x_valid, x_zero;
      logic [7:0] x;
      int8_quantizer u_quantizer (
          .clk_i, .rst_ni, .valid_i(take), .sign_i(x_sign_i), .magnitude_i(x_magnitude_i),
          .load_i(load_i & (load_target_i == 2'd0)), .load_address_i(load_address_i[0]), .load_data_i(load_data_i[15:0]),
          .valid_o(x_valid), .zero_o(x_zero), .value_o(x)
      );
      int8_mac_lane #(.ACCUMULATOR_BITS(WIDTH), .PRODUCT_REGISTER(PRODUCT_REGISTER)) u_lane (
          .clk_i, .rst_ni, .valid_i(x_valid), .x_zero_i(x_zero), .x_i(x), .w_zero_i(weight[8]), .w_i(weight[7:0]),
          .drain_i(drain), .data_o(term)
      );
    end else begin : gen_codes
      logic x_valid, x_zero, x_sign;
      logic [N-1:0] x_exponent;
      quantizer #(.N(N), .MAGNITUDE_BITS(24)) u_quantizer (
          .clk_i, .rst_ni, .valid_i(take), .sign_i(x_sign_i), .magnitude_i(x_magnitude_i),
          .load_i(load_i & (load_target_i == 2'd0)), .load_address_i(load_address_i[N:0]), .load_data_i(load_data_i),
          .valid_o(x_valid), .zero_o(x_zero), .sign_o(x_sign), .exponent_o(x_exponent)
      );
      if (DESIGN == 1) begin : gen_counting
        counting_lane #(.N(N), .COUNTER_BITS(WIDTH), .HISTOGRAMS(HISTOGRAMS)) u_lane (
            .clk_i, .rst_ni, .valid_i(x_valid), .x_zero_i(x_zero), .x_sign_i(x_sign), .x_exponent_i(x_exponent),
            .w_zero_i(weight[8]), .w_sign_i(weight[7]), .w_exponent_i(weight[N-1:0]),
            .drain_i(drain), .drain_row_i(row_q), .data_o(term)
        );
      end else if (DESIGN == 2) begin : gen_counting_sram
        logic sums_read, sums_write, xs_read, xs_write, ws_read, ws_write;
        logic [N:0] sums_read_address, sums_write_address;
        logic [N-1:0] xs_read_address, xs_write_address, ws_read_address, ws_write_address;
        logic [WIDTH-1:0] sums_read_data, sums_write_data, xs_read_data, xs_write_data, ws_read_data, ws_write_data;
        counting_lane_sram #(.N(N), .COUNTER_BITS(WIDTH), .HISTOGRAMS(HISTOGRAMS)) u_lane (
            .clk_i, .rst_ni, .valid_i(x_valid), .x_zero_i(x_zero), .x_sign_i(x_sign), .x_exponent_i(x_exponent),
            .w_zero_i(weight[8]), .w_sign_i(weight[7]), .w_exponent_i(weight[N-1:0]),
            .drain_i(drain), .drain_row_i(row_q), .data_o(term),
            .sums_read_o(sums_read), .sums_read_address_o(sums_read_address), .sums_read_data_i(sums_read_data),
            .sums_write_o(sums_write), .sums_write_address_o(sums_write_address), .sums_write_data_o(sums_write_data),
            .x_read_o(xs_read), .x_read_address_o(xs_read_address), .x_read_data_i(xs_read_data),
            .x_write_o(xs_write), .x_write_address_o(xs_write_address), .x_write_data_o(xs_write_data),
            .w_read_o(ws_read), .w_read_address_o(ws_read_address), .w_read_data_i(ws_read_data),
            .w_write_o(ws_write), .w_write_address_o(ws_write_address), .w_write_data_o(ws_write_data)
        );
        sram_1r1w #(.ADDRESS_BITS(N + 1), .WIDTH(WIDTH)) u_sums (
            .clk_i, .read_i(sums_read), .read_address_i(sums_read_address), .read_data_o(sums_read_data),
            .write_i(sums_write), .write_address_i(sums_write_address), .write_data_i(sums_write_data)
        );
        sram_1r1w #(.ADDRESS_BITS(N), .WIDTH(WIDTH)) u_x (
            .clk_i, .read_i(xs_read), .read_address_i(xs_read_address), .read_data_o(xs_read_data),
            .write_i(xs_write), .write_address_i(xs_write_address), .write_data_i(xs_write_data)
        );
        sram_1r1w #(.ADDRESS_BITS(N), .WIDTH(WIDTH)) u_w (
            .clk_i, .read_i(ws_read), .read_address_i(ws_read_address), .read_data_o(ws_read_data),
            .write_i(ws_write), .write_address_i(ws_write_address), .write_data_i(ws_write_data)
        );
      end else if (DESIGN == 3) begin : gen_shift
        shift_lane #(.N(N), .COUNTER_BITS(WIDTH), .Q(Q)) u_lane (
            .clk_i, .rst_ni, .valid_i(x_valid), .x_zero_i(x_zero), .x_sign_i(x_sign), .x_exponent_i(x_exponent),
            .w_zero_i(weight[8]), .w_sign_i(weight[7]), .w_exponent_i(weight[N-1:0]),
            .drain_i(drain), .drain_row_i(row_q), .data_o(term)
        );
      end else begin : gen_decode
        logic [7*2**N-1:0] x_levels, w_levels;
        level_table #(.WORDS(2 ** N), .ADDRESS_BITS(N), .WIDTH(7)) u_x_levels (
            .clk_i, .load_i(load_i & (load_target_i == 2'd2)), .address_i(load_address_i[N-1:0]), .data_i(load_data_i[6:0]),
            .words_o(x_levels)
        );
        level_table #(.WORDS(2 ** N), .ADDRESS_BITS(N), .WIDTH(7)) u_w_levels (
            .clk_i, .load_i(load_i & (load_target_i == 2'd3)), .address_i(load_address_i[N-1:0]), .data_i(load_data_i[6:0]),
            .words_o(w_levels)
        );
        decode_lane #(.N(N), .ACCUMULATOR_BITS(WIDTH), .PRODUCT_REGISTER(PRODUCT_REGISTER)) u_lane (
            .clk_i, .rst_ni, .valid_i(x_valid), .x_zero_i(x_zero), .x_sign_i(x_sign), .x_exponent_i(x_exponent),
            .w_zero_i(weight[8]), .w_sign_i(weight[7]), .w_exponent_i(weight[N-1:0]),
            .x_levels_i(x_levels), .w_levels_i(w_levels), .drain_i(drain), .data_o(term)
        );
      end
    end
    if (DESIGN == 0 || DESIGN == 4) begin : gen_post_accumulator
      post_accumulator #(.TERM_BITS(TERM_BITS), .SUM_BITS(SUM_BITS)) u_post (
          .clk_i, .rst_ni, .term_valid_i(term_valid), .last_i(term_last), .term_i(term),
          .scale_i(scale_q), .pre_shift_i(pre_shift_q), .valid_o, .sign_o, .magnitude_o
      );
    end else begin : gen_post_terms
      post_terms #(.ROWS(ROWS), .ROW_BITS(ROW_BITS), .TERM_BITS(TERM_BITS), .SUM_BITS(SUM_BITS)) u_post (
          .clk_i, .rst_ni, .term_valid_i(term_valid), .last_i(term_last), .row_i(term_row_q), .term_i(term),
          .scale_i(scale_q), .pre_shift_i(pre_shift_q),
          .load_i(load_i & (load_target_i == 2'd1)), .load_address_i(load_address_i[ROW_BITS-1:0]),
          .load_data_i(load_data_i[15:0]), .power_read_o(), .power_address_o(), .power_i(16'd0),
          .valid_o, .sign_o, .magnitude_o
      );
    end
  endgenerate
endmodule
