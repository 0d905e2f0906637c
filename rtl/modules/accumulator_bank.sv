// ROWS registers of which one a cycle is read, added to and written back: counters (addend +1 or -1) or accumulators.
//
// Numbers: a row stores its signed value plus INIT, unsigned, WIDTH bits. INIT is 1000 0101 0101... in binary: near mid-range, yet
// far enough from 2^(WIDTH-1) that small values of either sign flip few bits. A value may reach 2^WIDTH - 1 - INIT above and INIT
// below zero; whoever feeds the bank drains it before.
// A drain reads a row and sets it to INIT in the same cycle. Rows have no reset: drain all of them once after power-up.
// GROUP rows share a copy of the written word that rests at zero while another group is written: toggling data pins are
// the largest part of an idle row's energy. (Of 4, 8 and 16 rows: least energy 8 at n = 3, 4 at n = 4; least area 16.)
// Latency: read_o is combinational from index_i; the row changes at the next rising edge. Source: ours.
module accumulator_bank #(
    parameter int ROWS = 15,
    parameter int INDEX_BITS = 4,
    parameter int WIDTH = 10,
    parameter int GROUP = 8
) (
    input  logic                  clk_i,
    input  logic                  en_i,      // from a register: see clock_gate
    input  logic [INDEX_BITS-1:0] index_i,   // from a register
    input  logic                  drain_i,
    input  logic [     WIDTH-1:0] addend_i,
    input  logic                  carry_i,   // +1 more, so that ~a with a carry subtracts a
    output logic [     WIDTH-1:0] read_o
);
  localparam int PAIRS = (WIDTH - 3) / 2;
  localparam logic [2*PAIRS+3:0] PATTERN = {4'b1000, {PAIRS{2'b01}}};
  localparam logic [WIDTH-1:0] INIT = PATTERN[2*PAIRS+3-:WIDTH];
  localparam int GROUPS = (ROWS + GROUP - 1) / GROUP;

  logic                  clk_bank;
  logic [      ROWS-1:0] hit;
  logic [ROWS*WIDTH-1:0] rows;
  logic [     WIDTH-1:0] next;

  clock_gate u_bank_gate (
      .clk_i,
      .en_i,
      .clk_o(clk_bank)
  );

  integer r;
  always_comb begin
    read_o = {WIDTH{1'b0}};
    for (r = 0; r < ROWS; r = r + 1) read_o = read_o | (rows[r*WIDTH+:WIDTH] & {WIDTH{hit[r]}});
  end

  assign next = drain_i ? INIT : read_o + addend_i + {{(WIDTH - 1) {1'b0}}, carry_i};

  genvar g, k;
  generate
    for (g = 0; g < GROUPS; g = g + 1) begin : gen_group
      localparam int FIRST = g * GROUP;
      localparam int COUNT = (ROWS - FIRST < GROUP) ? ROWS - FIRST : GROUP;
      logic [WIDTH-1:0] next_here;
      if (GROUPS == 1) begin : gen_direct
        assign next_here = next;
      end else begin : gen_gated
        assign next_here = next & {WIDTH{|hit[FIRST+:COUNT]}};
      end
      for (k = 0; k < COUNT; k = k + 1) begin : gen_row
        logic             clk_row;
        logic [WIDTH-1:0] value_q;
        if (ROWS == 1) begin : gen_only
          assign hit[FIRST+k] = 1'b1;
          assign clk_row = clk_bank;
        end else begin : gen_one_of_many
          assign hit[FIRST+k] = (index_i == (FIRST + k));
          clock_gate u_row_gate (
              .clk_i(clk_bank),
              .en_i (hit[FIRST+k]),
              .clk_o(clk_row)
          );
        end
        always_ff @(posedge clk_row) value_q <= next_here;
        assign rows[(FIRST+k)*WIDTH+:WIDTH] = value_q;
      end
    end
  endgenerate
endmodule
