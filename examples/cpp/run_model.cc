// run_model MODEL.xml libdnateq_openvino.so: one inference on zeros, dynamic sizes taken as 1.
#include <exception>
#include <iostream>
#include <openvino/openvino.hpp>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: run_model MODEL.xml libdnateq_openvino.so\n";
    return 2;
  }
  try {
    ov::Core core;
    core.add_extension(argv[2]);  // before the model is read
    ov::CompiledModel model = core.compile_model(argv[1], "CPU", ov::hint::inference_precision(ov::element::f32));
    ov::InferRequest request = model.create_infer_request();
    for (const ov::Output<const ov::Node>& input : model.inputs()) {
      ov::Shape shape;
      for (const ov::Dimension& size : input.get_partial_shape())
        shape.push_back(size.is_static() ? static_cast<size_t>(size.get_length()) : 1);
      ov::Tensor zeros(input.get_element_type(), shape);
      std::fill_n(static_cast<char*>(zeros.data()), zeros.get_byte_size(), '\0');
      request.set_tensor(input, zeros);
    }
    request.infer();
    for (const ov::Output<const ov::Node>& output : model.outputs())
      std::cout << output.get_any_name() << ' ' << request.get_tensor(output).get_shape() << '\n';
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
