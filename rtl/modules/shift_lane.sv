// Dot products of codes whose base is 2^(1/Q), beta = 0, without multiplier or counters: a product is +-2^((i + j) / Q), so a
// pair adds +-2^((i + j) div Q) to accumulator (i + j) mod Q; the constants 2^(r / Q) are for post-processing.
//
// Codes as in counting_lane. Accumulators have COUNTER_BITS plus the largest shift bits and store value + INIT
// (accumulator_bank): they last for as many pairs as counters of COUNTER_BITS do. Rows of a drain: accumulators 0 ... Q - 1.
// Latency: a pair is added two edges after it is given; data_o shows a drained row one edge after drain_i. Source: ours.
module shift_lane #(
    parameter int N = 3,
    parameter int COUNTER_BITS = 10,
    parameter int Q = 2,
    localparam int MAX_SHIFT = ((2 << N) - 2) / Q,
    localparam int WIDTH = COUNTER_BITS + MAX_SHIFT,
    localparam int SHIFT_BITS = $clog2(MAX_SHIFT + 1),
    localparam int ROW_BITS = (Q == 1) ? 1 : $clog2(Q)
) (
    input  logic                clk_i,
    input  logic                rst_ni,
    input  logic                valid_i,
    input  logic                x_zero_i,
    input  logic                x_sign_i,
    input  logic [       N-1:0] x_exponent_i,
    input  logic                w_zero_i,
    input  logic                w_sign_i,
    input  logic [       N-1:0] w_exponent_i,
    input  logic                drain_i,
    input  logic [ROW_BITS-1:0] drain_row_i,
    output logic [   WIDTH-1:0] data_o
);
  logic pair, fire, fire_q, drain_q, down_q, clk_operands;
  logic [N:0] sum, quotient, remainder;
  logic [SHIFT_BITS-1:0] shift_q;
  logic [ROW_BITS-1:0] row_q;
  logic [WIDTH-1:0] addend, read;

  assign pair      = valid_i & ~x_zero_i & ~w_zero_i & ~drain_i;
  assign fire      = pair | drain_i;
  assign sum       = {1'b0, x_exponent_i} + {1'b0, w_exponent_i};
  assign quotient  = sum / Q;
  assign remainder = sum % Q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      fire_q  <= 1'b0;
      drain_q <= 1'b0;
    end else begin
      fire_q  <= fire;
      drain_q <= drain_i;
    end
  end

  clock_gate u_operand_gate (.clk_i, .en_i(fire), .clk_o(clk_operands));
  always_ff @(posedge clk_operands) begin
    shift_q <= quotient[SHIFT_BITS-1:0];
    row_q   <= drain_i ? drain_row_i : remainder[ROW_BITS-1:0];
    down_q  <= x_sign_i ^ w_sign_i;
  end

  // -2^k is every bit from k up: no carry goes in below.
  genvar b;
  generate
    for (b = 0; b < WIDTH; b = b + 1) begin : gen_addend
      if (b > MAX_SHIFT) begin : gen_sign
        assign addend[b] = down_q;
      end else begin : gen_bit
        assign addend[b] = (shift_q == b) | (down_q & (shift_q < b));
      end
    end
  endgenerate

  accumulator_bank #(.ROWS(Q), .INDEX_BITS(ROW_BITS), .WIDTH(WIDTH)) u_sums (
      .clk_i, .en_i(fire_q), .index_i(row_q), .drain_i(drain_q), .addend_i(addend), .carry_i(1'b0), .read_o(read)
  );
  assign data_o = {WIDTH{drain_q}} & read;
endmodule
