// A table of WIDTH-bit words in registers, loaded a word a cycle and visible as a whole: levels of decode_lane, thresholds of
// quantizer, powers of post_terms.
//
// Word k is bits WIDTH * k ... of words_o. Latency: one edge. Source: ours.
module level_table #(
    parameter int WORDS = 8,
    parameter int ADDRESS_BITS = 3,
    parameter int WIDTH = 7
) (
    input  logic                    clk_i,
    input  logic                    load_i,
    input  logic [ADDRESS_BITS-1:0] address_i,
    input  logic [       WIDTH-1:0] data_i,
    output logic [ WORDS*WIDTH-1:0] words_o
);
  logic clk_table;
  logic [WIDTH-1:0] data;

  clock_gate u_gate (.clk_i, .en_i(load_i), .clk_o(clk_table));
  assign data = data_i & {WIDTH{load_i}};

  genvar k;
  generate
    for (k = 0; k < WORDS; k = k + 1) begin : gen_word
      logic clk_word;
      logic [WIDTH-1:0] word_q;
      clock_gate u_gate (.clk_i(clk_table), .en_i(address_i == k), .clk_o(clk_word));
      always_ff @(posedge clk_word) word_q <= data;
      assign words_o[k*WIDTH+:WIDTH] = word_q;
    end
  endgenerate
endmodule
