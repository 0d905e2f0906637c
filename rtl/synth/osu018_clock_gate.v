// modules/clock_gate.sv as one cell, the same everywhere: abc would take clock gates for logic, and buffer some and not others, so that
// registers that feed each other would get their edges apart.
module clock_gate (
    input  clk_i,
    input  en_i,
    output clk_o
);
  OR2X2 u_gate (
      .A(clk_i),
      .B(~en_i),
      .Y(clk_o)
  );
endmodule
