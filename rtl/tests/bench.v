// Replays vectors (vectors.h) on one part, RTL or netlist, and compares every cycle; the energy tool reads the VCD.
//
// Macros: DUT (the wrapper's name). Arguments: +vectors=FILE +count=N [+vcd=FILE]. The last line says how many cycles differed.
// Inputs change 1 ns after the rising edge; outputs are compared just before the next one. 100 ns a cycle: longer than any path,
// and what a transition costs does not depend on it.
`timescale 1ns / 10ps
module bench;
  reg clk = 1'b1, rst_n = 1'b1;
  reg [127:0] in = 128'd0;
  wire [95:0] out;
  reg [3:0] phase = 4'd0;
  reg [323:0] vectors[0:262143];
  reg [8*512:1] file;
  integer count, k, wrong;
  reg [95:0] mask, expected;

  `DUT u_wrapper (.clk_i(clk), .rst_ni(rst_n), .in_i(in), .out_o(out));

  // Without its delays a netlist races, and its glitches cost nothing: look whether an inverter takes time.
  reg probe_in = 1'b0;
  wire probe_out;
  INVX1 u_probe (.A(probe_in), .Y(probe_out));
  initial begin
    #5 probe_in = 1'b1;
    #0.01 if (probe_out !== 1'b1) $display("bench: the cells' delays are missing");
  end

  initial begin
    wrong = 0;
    if (!$value$plusargs("vectors=%s", file) || !$value$plusargs("count=%d", count)) begin
      $display("bench: +vectors=FILE and +count=N are needed");
      $finish;
    end
    $readmemh(file, vectors, 0, count - 1);
    if ($value$plusargs("vcd=%s", file)) begin
      $dumpfile(file);
      $dumpvars(1, bench.u_wrapper.u_dut, phase);
    end
    #10 rst_n = 1'b0;
    repeat (3) begin
      #40 clk = 1'b0;
      #50 clk = 1'b1;
      #10;
    end
    rst_n = 1'b1;
    for (k = 0; k < count; k = k + 1) begin
      {phase, in, mask, expected} = vectors[k];
      #49 clk = 1'b0;
      #49;
      if (((out ^ expected) & mask) !== 96'd0) begin
        wrong = wrong + 1;
        if (wrong <= 3) $display("cycle %0d: %h, expected %h, mask %h", k, out, expected, mask);
      end
      #1 clk = 1'b1;
      #1;
    end
    phase = 4'd0;
    $display("bench: %0d cycles, %0d wrong", count, wrong);
    $finish;
  end
endmodule
