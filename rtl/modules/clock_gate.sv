// Clock gate for banks of registers that change rarely.
//
// clk_o follows clk_i while en_i is high and rests high otherwise. There is no latch: en_i must come from registers of the same
// edge of clk_i and settle while clk_i is high, so that the OR hides its changes. One gate a row keeps the clock pins of the other
// rows still. (OSU018 has no gating cell, and its latch has no area in the Liberty file.) Latency: none. Source: ours.
module clock_gate (
    input  logic clk_i,
    input  logic en_i,
    output logic clk_o
);
  assign clk_o = clk_i | ~en_i;
endmodule
