// Adders as plain ripple chains for Yosys' techmap: the smallest ones, and abc makes of them what the cells offer. Yosys' own
// carry look-ahead makes the INT8 lane 6 % larger; full-adder cells (FAX1), which abc cannot see into, 20 %.
(* techmap_celltype = "$alu" *)
module dnateq_ripple_alu (A, B, CI, BI, X, Y, CO);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  (* force_downto *) input [A_WIDTH-1:0] A;
  (* force_downto *) input [B_WIDTH-1:0] B;
  input CI, BI;
  (* force_downto *) output [Y_WIDTH-1:0] X, Y, CO;

  wire [Y_WIDTH-1:0] a, b_given;
  \$pos #(.A_SIGNED(A_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_a (.A(A), .Y(a));
  \$pos #(.A_SIGNED(B_SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_b (.A(B), .Y(b_given));
  wire [Y_WIDTH-1:0] b = BI ? ~b_given : b_given;
  wire [Y_WIDTH:0] carry;
  assign carry[0] = CI;
  genvar k;
  generate
    for (k = 0; k < Y_WIDTH; k = k + 1) begin : gen_bit
      assign X[k] = a[k] ^ b[k];
      assign Y[k] = X[k] ^ carry[k];
      assign carry[k+1] = (a[k] & b[k]) | (carry[k] & X[k]);
    end
  endgenerate
  assign CO = carry[Y_WIDTH:1];
endmodule
