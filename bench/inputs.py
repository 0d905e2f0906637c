"""Inputs of a network: calls read from files, or random ones."""

import numpy as np


def read_calls(path, batch=1):
    """.npz (arrays named as the inputs, first axis = samples) or .npy (one input, named None) in batches; or a folder of
    .npz, one call each."""
    if path.is_dir():
        files = sorted(path.glob("*.npz"))
        if not files:
            raise ValueError(f"the folder '{path}' holds no .npz; images are for dnateq's other commands")
        for file in files:
            with np.load(file) as arrays:
                yield dict(arrays)
        return
    if path.suffix not in (".npz", ".npy"):
        raise ValueError(f"'{path}' is neither .npz nor .npy nor a folder of .npz")
    with open(path, "rb") as stream:
        loaded = np.load(stream)
        arrays = {None: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    for start in range(0, len(next(iter(arrays.values()), ())), batch):
        yield {name: array[start:start + batch] for name, array in arrays.items()}


def calls_of(model, path, batch=1):
    """The same as the OpenVINO model takes them: its names, its types."""
    for call in read_calls(path, batch):
        fed = {}
        for port in model.inputs:
            name = next((n for n in port.names if n in call), None if None in call and len(model.inputs) == 1 else "")
            if name == "":
                raise ValueError(f"'{path}' holds no array '{port.any_name}'; it holds {', '.join(map(str, call))}")
            fed[port.any_name] = call[name].astype(port.element_type.to_dtype(), copy=False)
        yield fed


def row_count(port):
    """Rows of the table that an input of integers looks up, as far as it is used for nothing else; None if unknown."""
    pending, rows = [port], None
    while pending:
        for target in pending.pop().get_target_inputs():
            node = target.get_node()
            if node.get_type_name() in ("Convert", "Reshape", "Unsqueeze", "Squeeze"):
                pending.append(node.output(0))
            elif node.get_type_name() == "Gather" and target.get_index() == 1 and node.get_input_partial_shape(0).rank.is_static:
                axis = node.input_value(2).get_node()
                dims = list(node.get_input_partial_shape(0))
                dim = dims[int(axis.data.flatten()[0]) if axis.get_type_name() == "Constant" else 0]
                if dim.is_static:
                    rows = min(rows or dim.get_length(), dim.get_length())
    return rows


def random_inputs(model, batch, shapes, rng):
    """Normal for floats, small positive integers for ids, ones for masks. `shapes`: by name, for what the model leaves open."""
    unknown = set(shapes) - {name for port in model.inputs for name in port.names}
    if unknown:
        raise ValueError(f"there is no input '{min(unknown)}'; the inputs are {', '.join(p.any_name for p in model.inputs)}")
    inputs = {}
    for port in model.inputs:
        shape = next((shapes[name] for name in port.names if name in shapes), None)
        if shape is None:
            partial = port.partial_shape
            if partial.rank.is_dynamic or any(d.is_dynamic for d in list(partial)[1:]):
                raise ValueError(f"input '{port.any_name}' has the shape {partial}: give --shape {port.any_name}=DIM,...")
            free = partial.rank.get_length() > 0 and (partial[0].is_dynamic or batch != 1)
            shape = [batch if free and i == 0 else d.get_length() for i, d in enumerate(partial)]
        if port.element_type.is_integral():
            limit = row_count(port) or 1000
            array = np.ones(shape) if "mask" in port.any_name else rng.integers(min(1, limit - 1), min(limit, 1000), shape)
        else:
            array = rng.standard_normal(shape)
        inputs[port.any_name] = array.astype(port.element_type.to_dtype())
    return inputs
