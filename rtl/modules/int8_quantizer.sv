// Activations to signed 8-bit integers: magnitude times a 16-bit multiplier, shifted right, rounded half away from zero, clipped
// to 127.
//
// Magnitudes are 24-bit unsigned fixed point, as channel_scale gives them. Loads: address 0 the multiplier, 1 the shift (1 ... 39).
// Latency: 3 edges. Source: ours (the usual requantization of INT8 networks).
module int8_quantizer (
    input  logic        clk_i,
    input  logic        rst_ni,
    input  logic        valid_i,
    input  logic        sign_i,
    input  logic [23:0] magnitude_i,
    input  logic        load_i,
    input  logic        load_address_i,
    input  logic [15:0] load_data_i,
    output logic        valid_o,
    output logic        zero_o,
    output logic [ 7:0] value_o
);
  logic [31:0] config_words;
  level_table #(.WORDS(2), .ADDRESS_BITS(1), .WIDTH(16)) u_config (
      .clk_i, .load_i, .address_i(load_address_i), .data_i(load_data_i), .words_o(config_words)
  );

  logic valid_1_q, valid_2_q, clk_1, clk_2, clk_3, sign_1_q, sign_2_q;
  logic [23:0] magnitude_1_q;
  logic [39:0] product_2_q;
  logic [40:0] doubled, rounded;
  logic [6:0] clipped;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) {valid_1_q, valid_2_q, valid_o} <= 3'b000;
    else {valid_1_q, valid_2_q, valid_o} <= {valid_i, valid_1_q, valid_2_q};
  end

  clock_gate u_gate_1 (.clk_i, .en_i(valid_i), .clk_o(clk_1));
  always_ff @(posedge clk_1) begin
    sign_1_q      <= sign_i;
    magnitude_1_q <= magnitude_i;
  end

  clock_gate u_gate_2 (.clk_i, .en_i(valid_1_q), .clk_o(clk_2));
  always_ff @(posedge clk_2) begin
    sign_2_q    <= sign_1_q;
    product_2_q <= magnitude_1_q * config_words[15:0];
  end

  // Shifted by one bit less, then rounded at the lowest bit.
  assign doubled = {product_2_q, 1'b0} >> config_words[21:16];
  assign rounded = (doubled + 41'd1) >> 1;
  assign clipped = (|rounded[40:7]) ? 7'd127 : rounded[6:0];

  clock_gate u_gate_3 (.clk_i, .en_i(valid_2_q), .clk_o(clk_3));
  always_ff @(posedge clk_3) begin
    value_o <= ({1'b0, clipped} ^ {8{sign_2_q}}) + {7'd0, sign_2_q};
    zero_o  <= clipped == 7'd0;
  end
endmodule
