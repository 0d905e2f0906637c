// Signed counters in an SRAM: reads a word, adds +1 or -1, writes it back, one pair a cycle.
//
// Numbers: a word stores value + INIT as in accumulator_bank. A pair that follows one of the same index gets the word that is just
// being written (forwarding), since the memory would still return the old one. A drain reads a word and sets it to INIT.
// Latency: read_o one edge after en_i; the memory has the new word two edges after. Source: DNA-TEQ (arXiv 2306.16430)
// for counters in a memory; forwarding is ours.
module sram_counter #(
    parameter int INDEX_BITS = 4,
    parameter int WIDTH = 10
) (
    input  logic                  clk_i,
    input  logic                  rst_ni,
    input  logic                  en_i,
    input  logic                  drain_i,
    input  logic                  down_i,
    input  logic [INDEX_BITS-1:0] index_i,
    output logic [     WIDTH-1:0] read_o,
    output logic                  mem_read_o,
    output logic [INDEX_BITS-1:0] mem_read_address_o,
    input  logic [     WIDTH-1:0] mem_read_data_i,
    output logic                  mem_write_o,
    output logic [INDEX_BITS-1:0] mem_write_address_o,
    output logic [     WIDTH-1:0] mem_write_data_o
);
  localparam int PAIRS = (WIDTH - 3) / 2;
  localparam logic [2*PAIRS+3:0] PATTERN = {4'b1000, {PAIRS{2'b01}}};
  localparam logic [WIDTH-1:0] INIT = PATTERN[2*PAIRS+3-:WIDTH];

  logic en_q, drain_q, down_q, forward_q, clk_operands, clk_last;
  logic [INDEX_BITS-1:0] index_q;
  logic [WIDTH-1:0] next, last_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) en_q <= 1'b0;
    else en_q <= en_i;
  end

  clock_gate u_operand_gate (.clk_i, .en_i(en_i), .clk_o(clk_operands));
  always_ff @(posedge clk_operands) begin
    index_q   <= index_i;
    down_q    <= down_i;
    drain_q   <= drain_i;
    forward_q <= en_q & (index_i == index_q);
  end

  assign read_o = forward_q ? last_q : mem_read_data_i;
  assign next   = drain_q ? INIT : read_o + {{(WIDTH - 1) {down_q}}, 1'b1};

  clock_gate u_last_gate (.clk_i, .en_i(en_q), .clk_o(clk_last));
  always_ff @(posedge clk_last) last_q <= next;

  assign mem_read_o          = en_i;
  assign mem_read_address_o  = index_i;
  assign mem_write_o         = en_q;
  assign mem_write_address_o = index_q;
  assign mem_write_data_o    = next & {WIDTH{en_q}};
endmodule
