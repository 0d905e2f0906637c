// Post-processing of counters and of shift accumulators: sum of (row's value) times (row's stored constant), a row a cycle, then
// the channel's scale.
//
// Numbers: term_i is a drained row, value + INIT (accumulator_bank), TERM_BITS; constants are {sign, 15-bit magnitude}, a fixed-point
// power of the base times alpha and beta products as the term needs: signs and magnitudes make the smallest multiplier; the sum is signed, SUM_BITS, and wraps beyond. An output's
// rows may come in several drains; last_i goes with its last row. With TABLE_IN_REGISTERS = 0 the constants lie in a memory outside
// that is read by power_read_o; its word is taken one edge later.
// Latency: 6 edges from the last row to valid_o. Source: DNA-TEQ (arXiv 2306.16430) for stored powers; the rest is ours.
module post_terms #(
    parameter int ROWS = 15,
    parameter int ROW_BITS = 4,
    parameter int TERM_BITS = 10,
    parameter int SUM_BITS = 40,
    parameter int TABLE_IN_REGISTERS = 1
) (
    input  logic                 clk_i,
    input  logic                 rst_ni,
    input  logic                 term_valid_i,
    input  logic                 last_i,
    input  logic [ ROW_BITS-1:0] row_i,
    input  logic [TERM_BITS-1:0] term_i,
    input  logic [         15:0] scale_i,      // with last_i
    input  logic [          4:0] pre_shift_i,  // with last_i
    input  logic                 load_i,
    input  logic [ ROW_BITS-1:0] load_address_i,
    input  logic [         15:0] load_data_i,
    output logic                 power_read_o,
    output logic [ ROW_BITS-1:0] power_address_o,
    input  logic [         15:0] power_i,
    output logic                 valid_o,
    output logic                 sign_o,
    output logic [         23:0] magnitude_o
);
  localparam int PAIRS = (TERM_BITS - 3) / 2;
  localparam logic [2*PAIRS+3:0] PATTERN = {4'b1000, {PAIRS{2'b01}}};
  localparam logic [TERM_BITS-1:0] INIT = PATTERN[2*PAIRS+3-:TERM_BITS];

  logic term_q, last_q, value_valid_q, value_last_q, first_q, done_q;
  logic clk_term, clk_value, clk_sum;
  logic clk_scale, clk_value_scale, clk_sum_scale;
  logic [TERM_BITS-1:0] stored_q;
  logic [TERM_BITS:0] difference;
  logic [TERM_BITS-1:0] magnitude, magnitude_q;
  logic [15:0] power;
  logic [14:0] power_q;
  logic down_q;
  logic [20:0] scale_q, value_scale_q, sum_scale_q;  // {pre-shift, scale}
  logic [TERM_BITS+14:0] product;
  logic [SUM_BITS-1:0] sum_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {term_q, last_q, value_valid_q, value_last_q, done_q} <= 5'b00000;
      first_q <= 1'b1;
    end else begin
      {term_q, value_valid_q} <= {term_valid_i, term_q};
      last_q                  <= term_valid_i & last_i;
      value_last_q            <= last_q;
      done_q                  <= value_last_q;
      first_q                 <= value_valid_q ? value_last_q : first_q;
    end
  end

  clock_gate u_term_gate (.clk_i, .en_i(term_valid_i), .clk_o(clk_term));
  always_ff @(posedge clk_term) stored_q <= term_i;

  clock_gate u_scale_gate (.clk_i, .en_i(term_valid_i & last_i), .clk_o(clk_scale));
  clock_gate u_value_scale_gate (.clk_i, .en_i(last_q), .clk_o(clk_value_scale));
  clock_gate u_sum_scale_gate (.clk_i, .en_i(value_last_q), .clk_o(clk_sum_scale));
  always_ff @(posedge clk_scale) scale_q <= {pre_shift_i, scale_i};
  always_ff @(posedge clk_value_scale) value_scale_q <= scale_q;
  always_ff @(posedge clk_sum_scale) sum_scale_q <= value_scale_q;

  generate
    if (TABLE_IN_REGISTERS == 1) begin : gen_registers
      logic [ROWS*16-1:0] powers;
      logic [ROW_BITS-1:0] row_q;
      genvar b, r;
      level_table #(.WORDS(ROWS), .ADDRESS_BITS(ROW_BITS), .WIDTH(16)) u_powers (
          .clk_i, .load_i, .address_i(load_address_i), .data_i(load_data_i), .words_o(powers)
      );
      always_ff @(posedge clk_term) row_q <= row_i;
      for (b = 0; b < 16; b = b + 1) begin : gen_bit
        logic [2**ROW_BITS-1:0] column;
        for (r = 0; r < 2 ** ROW_BITS; r = r + 1) begin : gen_row
          if (r < ROWS) assign column[r] = powers[16*r+b];
          else assign column[r] = 1'b0;
        end
        assign power[b] = column[row_q];
      end
      assign power_read_o    = 1'b0;
      assign power_address_o = '0;
    end else begin : gen_memory
      assign power           = power_i;
      assign power_read_o    = term_valid_i;
      assign power_address_o = row_i;
    end
  endgenerate

  assign difference = {1'b0, stored_q} - {1'b0, INIT};
  assign magnitude  = (difference[TERM_BITS-1:0] ^ {TERM_BITS{difference[TERM_BITS]}}) + difference[TERM_BITS];
  clock_gate u_value_gate (.clk_i, .en_i(term_q), .clk_o(clk_value));
  always_ff @(posedge clk_value) begin
    magnitude_q <= magnitude;
    power_q     <= power[14:0];
    down_q      <= power[15] ^ difference[TERM_BITS];
  end

  assign product = magnitude_q * power_q;
  clock_gate u_sum_gate (.clk_i, .en_i(value_valid_q), .clk_o(clk_sum));
  always_ff @(posedge clk_sum) begin
    sum_q <= (first_q ? {SUM_BITS{1'b0}} : sum_q) + ({{(SUM_BITS - TERM_BITS - 15) {1'b0}}, product} ^ {SUM_BITS{down_q}}) +
             {{(SUM_BITS - 1) {1'b0}}, down_q};
  end

  channel_scale #(.SUM_BITS(SUM_BITS)) u_scale (
      .clk_i, .rst_ni, .valid_i(done_q), .sum_i(sum_q), .scale_i(sum_scale_q[15:0]), .pre_shift_i(sum_scale_q[20:16]),
      .valid_o, .sign_o, .magnitude_o
  );
endmodule
