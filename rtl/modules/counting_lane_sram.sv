// counting_lane with its counters in SRAMs: the logic of the lane, the memories (sram_1r1w) outside.
//
// Codes, rows of a drain and numbers as in counting_lane; the sign's counter is a register. Without a fourth histogram the
// ports of x and w rest. A pair with a zero touches no memory.
// Latency: data_o shows a drained row one edge after drain_i. Source: DNA-TEQ (arXiv 2306.16430); ours where counting_lane says so.
module counting_lane_sram #(
    parameter int N = 5,
    parameter int COUNTER_BITS = 10,
    parameter int HISTOGRAMS = 1,
    localparam int ROW_BITS = (HISTOGRAMS == 4) ? N + 2 : N + 1
) (
    input  logic                    clk_i,
    input  logic                    rst_ni,
    input  logic                    valid_i,
    input  logic                    x_zero_i,
    input  logic                    x_sign_i,
    input  logic [           N-1:0] x_exponent_i,
    input  logic                    w_zero_i,
    input  logic                    w_sign_i,
    input  logic [           N-1:0] w_exponent_i,
    input  logic                    drain_i,
    input  logic [    ROW_BITS-1:0] drain_row_i,
    output logic [COUNTER_BITS-1:0] data_o,
    output logic                    sums_read_o,
    output logic [             N:0] sums_read_address_o,
    input  logic [COUNTER_BITS-1:0] sums_read_data_i,
    output logic                    sums_write_o,
    output logic [             N:0] sums_write_address_o,
    output logic [COUNTER_BITS-1:0] sums_write_data_o,
    output logic                    x_read_o,
    output logic [           N-1:0] x_read_address_o,
    input  logic [COUNTER_BITS-1:0] x_read_data_i,
    output logic                    x_write_o,
    output logic [           N-1:0] x_write_address_o,
    output logic [COUNTER_BITS-1:0] x_write_data_o,
    output logic                    w_read_o,
    output logic [           N-1:0] w_read_address_o,
    input  logic [COUNTER_BITS-1:0] w_read_data_i,
    output logic                    w_write_o,
    output logic [           N-1:0] w_write_address_o,
    output logic [COUNTER_BITS-1:0] w_write_data_o
);
  logic pair, down, drain_q, drain_sums;
  logic [N:0] sum;
  logic [COUNTER_BITS-1:0] read_sums;

  assign pair = valid_i & ~x_zero_i & ~w_zero_i & ~drain_i;
  assign down = x_sign_i ^ w_sign_i;
  assign sum  = drain_i ? drain_row_i[N:0] : {1'b0, x_exponent_i} + {1'b0, w_exponent_i};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) drain_q <= 1'b0;
    else drain_q <= drain_i;
  end

  sram_counter #(.INDEX_BITS(N + 1), .WIDTH(COUNTER_BITS)) u_sums (
      .clk_i, .rst_ni, .en_i(pair | drain_sums), .drain_i, .down_i(down), .index_i(sum), .read_o(read_sums),
      .mem_read_o(sums_read_o), .mem_read_address_o(sums_read_address_o), .mem_read_data_i(sums_read_data_i),
      .mem_write_o(sums_write_o), .mem_write_address_o(sums_write_address_o), .mem_write_data_o(sums_write_data_o)
  );

  generate
    if (HISTOGRAMS == 4) begin : gen_four
      logic drain_sign, drain_x, drain_w, sign_en_q, sign_down_q, clk_bank;
      logic [1:0] bank_q;
      logic sign_row_q;
      logic [N-1:0] x_index, w_index;
      logic [COUNTER_BITS-1:0] read_sign, read_x, read_w;

      assign drain_sign = drain_i & ~drain_row_i[N+1] & (&drain_row_i[N:0]);
      assign drain_sums = drain_i & ~drain_row_i[N+1] & ~(&drain_row_i[N:0]);
      assign drain_x    = drain_i & drain_row_i[N+1] & ~drain_row_i[N];
      assign drain_w    = drain_i & drain_row_i[N+1] & drain_row_i[N];
      assign x_index    = drain_i ? drain_row_i[N-1:0] : x_exponent_i;
      assign w_index    = drain_i ? drain_row_i[N-1:0] : w_exponent_i;

      always_ff @(posedge clk_i or negedge rst_ni) begin
        if (!rst_ni) sign_en_q <= 1'b0;
        else sign_en_q <= pair | drain_sign;
      end
      clock_gate u_gate (.clk_i, .en_i(pair | drain_i), .clk_o(clk_bank));
      always_ff @(posedge clk_bank) begin
        sign_down_q <= down;
        bank_q      <= drain_row_i[N+1:N];
        sign_row_q  <= drain_sign;
      end

      sram_counter #(.INDEX_BITS(N), .WIDTH(COUNTER_BITS)) u_x (
          .clk_i, .rst_ni, .en_i(pair | drain_x), .drain_i, .down_i(down), .index_i(x_index), .read_o(read_x),
          .mem_read_o(x_read_o), .mem_read_address_o(x_read_address_o), .mem_read_data_i(x_read_data_i),
          .mem_write_o(x_write_o), .mem_write_address_o(x_write_address_o), .mem_write_data_o(x_write_data_o)
      );
      sram_counter #(.INDEX_BITS(N), .WIDTH(COUNTER_BITS)) u_w (
          .clk_i, .rst_ni, .en_i(pair | drain_w), .drain_i, .down_i(down), .index_i(w_index), .read_o(read_w),
          .mem_read_o(w_read_o), .mem_read_address_o(w_read_address_o), .mem_read_data_i(w_read_data_i),
          .mem_write_o(w_write_o), .mem_write_address_o(w_write_address_o), .mem_write_data_o(w_write_data_o)
      );
      accumulator_bank #(.ROWS(1), .INDEX_BITS(1), .WIDTH(COUNTER_BITS)) u_sign (
          .clk_i, .en_i(sign_en_q), .index_i(1'b0), .drain_i(drain_q),
          .addend_i({{(COUNTER_BITS - 1) {sign_down_q}}, 1'b1}), .carry_i(1'b0), .read_o(read_sign)
      );
      assign data_o = {COUNTER_BITS{drain_q}} &
                      (sign_row_q ? read_sign : ~bank_q[1] ? read_sums : bank_q[0] ? read_w : read_x);
    end else begin : gen_one
      assign drain_sums = drain_i;
      assign data_o = {COUNTER_BITS{drain_q}} & read_sums;
      assign {x_read_o, x_read_address_o, x_write_o, x_write_address_o, x_write_data_o} = '0;
      assign {w_read_o, w_read_address_o, w_write_o, w_write_address_o, w_write_data_o} = '0;
    end
  endgenerate
endmodule
