// Steps to phases: for row_program.cc alone.
#pragma once

#include "kernels/row_program.h"

namespace dnateq::kernels {

class RowProgramMaker {
 public:
  RowProgramMaker(const RowBlock& block, RowProgram& program) : block_(block), program_(program) {}
  void make();

 private:
  using Place = RowProgram::Place;
  struct Node {  // a step, or several in one
    RowStepKind kind;
    uint32_t a = 0;
    std::optional<uint32_t> b;  // the second value; of a matmul: the residual
    std::optional<size_t> constant;
    float epsilon = 0;
    uint32_t y = 0;
    bool scheduled = false;
  };
  struct Slot {
    size_t width, busy_until;
  };

  void count_uses();
  bool is_for_one(uint32_t value) const { return uses_[value] == 1 && !output_of_[value]; }
  const RowStep* step_of(uint32_t value) const;
  void merge();
  bool merged_into(const RowStep& step, uint32_t own, Node& node);
  bool is_ready(const Node& node, const std::vector<bool>& done) const;
  void schedule();
  void see_last_uses();
  void use(uint32_t value, size_t time);
  void place_all();
  Place place_for(uint32_t value, size_t time, bool in_place);

  const RowBlock& block_;
  RowProgram& program_;
  std::vector<size_t> uses_;
  std::vector<std::optional<size_t>> output_of_;  // by value
  std::vector<bool> absorbed_;                    // by value
  std::vector<Node> nodes_;
  struct Phase {
    std::vector<size_t> functions, matmuls;  // nodes
  };
  std::vector<Phase> phases_;
  std::vector<uint32_t> root_;    // by value: itself, or what it is a slice of
  std::vector<size_t> last_use_;  // by root
  std::vector<Place> places_;     // by value
  std::vector<Slot> slots_;
};

}  // namespace dnateq::kernels
