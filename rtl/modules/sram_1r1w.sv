// Behavioural memory with one read and one write port, for simulation; a memory compiler's macro takes its place.
//
// A read of the word that is written at the same edge returns the old word. Latency: one edge; with gates around it the data
// must not come sooner than their gated clocks do, so that bench.v's runs define SRAM_CLOCK_TO_DATA. Source: ours.
`ifndef SRAM_CLOCK_TO_DATA
`define SRAM_CLOCK_TO_DATA
`endif
module sram_1r1w #(
    parameter int ADDRESS_BITS = 4,
    parameter int WIDTH = 10
) (
    input  logic                    clk_i,
    input  logic                    read_i,
    input  logic [ADDRESS_BITS-1:0] read_address_i,
    output logic [       WIDTH-1:0] read_data_o,
    input  logic                    write_i,
    input  logic [ADDRESS_BITS-1:0] write_address_i,
    input  logic [       WIDTH-1:0] write_data_i
);
  logic [WIDTH-1:0] words[0:(1<<ADDRESS_BITS)-1];
  always_ff @(posedge clk_i) begin
    if (read_i) read_data_o <= `SRAM_CLOCK_TO_DATA words[read_address_i];
    if (write_i) words[write_address_i] <= write_data_i;
  end
endmodule
