"""ONNX models and nodes, run by onnxruntime. The initializers are the parameters of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from normscope.errors import SpecError, printable
from normscope.frameworks.inputs import Inputs, Passing
from normscope.frameworks.live import FirstCall, Live
from normscope.frameworks.onnx.file import OnnxFile, not_installed
from normscope.frameworks.recorder import Recorder
from normscope.frameworks.trees import Array
from normscope.graph.operators import CannotTraceError, Graph
from normscope.wording import counted, listed, one_line

try:
    import onnx
    import onnxruntime
    from onnx import helper
except ImportError as missing:
    raise not_installed("an ONNX model is run by onnxruntime", missing) from missing

from normscope.frameworks.onnx import example, graphs
from normscope.frameworks.onnx.folded import note_on_folding
from normscope.frameworks.onnx.memory import bound
from normscope.frameworks.onnx.tensors import Tensors

_FOLDER = "session.model_external_initializers_file_folder_path"

_MODES = {True: "training", False: "inference"}


class OnnxLive(Live):
    """A model, called with the values of its inputs by name or in their order.

    Its arrays are its initializers of real numbers. They become inputs once they are asked for, so
    that they can be given other values; until then the model runs as it is. The running statistics
    that a batch normalization in training mode returns are its state.
    """

    def __init__(self, model: Any, first: FirstCall) -> None:
        self._path = model.path if isinstance(model, OnnxFile) else None
        model = model.model if isinstance(model, OnnxFile) else model
        self._tensors = Tensors(self._path)
        if isinstance(model, onnx.NodeProto):
            super().__init__(f"ONNX {model.op_type}", "ONNX model")
            self._dtypes = {model.input[0]: np.dtype(np.float32)}
            arguments, named = first(self)
            x = arguments[0] if arguments else named[model.input[0]]
            self._model = graphs.model_of_node(model, x.shape, named)
        else:
            super().__init__(f"ONNX model {model.graph.name}", "ONNX model")
            self._model = model
            self._dtypes = _free_inputs(model.graph)
            arguments, named = first(self)
        graph = self._model.graph
        free = [name for name in self._dtypes if name not in named]
        if free and self._dtypes[free[0]].kind == "f":
            self.dtype = self._dtypes[free[0]]
            self.eps = float(np.finfo(self.dtype).eps)
        self.notes += filter(None, [note_on_folding(graph)])
        self._outputs = [output.name for output in graph.output]
        self._running = graphs.running_outputs(graph)
        if self._running or any(map(graphs.trains, graph.node)):
            self.modes = (True,)
        state = {name for node in graph.node for name in graphs.running_inputs(node)}
        self.learned = frozenset(i.name for i in graph.initializer if _is_real(i)) - state
        self._values: dict[str, Array] | None = None  # of the initializers, once they are inputs
        self._session: Any = None
        self._recorder: Recorder | None = None
        self.remember()

    @property
    def details(self) -> Mapping[str, Any]:
        """The version of the standard operators."""
        versions = {entry.domain: entry.version for entry in self._model.opset_import}
        return {"opset": versions.get("", versions.get("ai.onnx", 1))}

    def misfit(self, given: Inputs) -> str:
        """What onnxruntime says of a model that it does not run."""
        try:
            self._made_session()
        except Exception as error:  # onnxruntime has many, and the model is anybody's
            return f"onnxruntime cannot run this model: {one_line(error)}"
        return super().misfit(given)

    def _made_session(self) -> Any:
        if self._session is None:
            if self._values is None:
                self._session = self._new_session(self._model, optimized=False)
            else:
                opened = graphs.with_open_initializers(self._model, self._values)
                self._session = self._new_session(opened, optimized=True)
        return self._session

    def _new_session(self, model: Any, *, optimized: bool) -> Any:
        """A session that runs a model; fused nodes would hide what is between them."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what it raises is said, and is said once
        if not optimized:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if self._path is not None:  # where the arrays are that the model refers to
            bound(options)
            folder = str(self._path.resolve().parent)
            options.add_session_config_entry(_FOLDER, folder)
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    # --- arguments in, arrays out ---------------------------------------------------------------

    def inputs(self, given: Any) -> Inputs:
        """The inputs by name, in the dtypes that the model states."""
        names = list(self._dtypes)
        shown = listed([printable(name) for name in names])
        if not isinstance(given, Mapping):
            values = given if isinstance(given, tuple | list) else [given]
            if len(values) != len(names):
                raise SpecError(
                    f"the ONNX model has the inputs {shown}, and "
                    f"{counted(len(values), 'input')} came"
                )
            given = dict(zip(names, values, strict=True))
        if set(given) != set(names):
            wrong = [printable(str(name)) for name in given if name not in names]
            missing = [printable(name) for name in names if name not in given]
            problem = f"no input {listed(wrong, 'or')}" if wrong else f"no {listed(missing)} given"
            raise SpecError(
                f"the ONNX model has the inputs {shown}: {problem}; on the command "
                f"line write --input {printable(names[0])}=4,8"
            )
        arrays = {name: np.asarray(v).astype(self._dtypes[name]) for name, v in given.items()}
        return Inputs(arrays, None, Passing.NAMED)

    def leaf(self, original: Any, value: Array) -> Any:
        """New values as a NumPy array, which onnxruntime takes."""
        return np.asarray(super().leaf(original, value))

    def fixed(self, value: Any) -> Any:
        """An input that is the same in each call, as an array of NumPy."""
        return np.asarray(value)

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """One run; the outputs by name."""
        places = [name for name in self._dtypes if name not in named]
        given = {**dict(zip(places, arguments, strict=False)), **named}
        feeds = {name: value for name, value in given.items() if name in self._dtypes}
        if self._recorder is not None:
            return self._node_by_node(feeds, self._recorder)
        if self._values is None:
            return _run(self._made_session(), self._outputs, feeds)
        wanted = list(dict.fromkeys([*self._outputs, *self._running]))
        found = _run(self._made_session(), wanted, {**feeds, **self._values})
        for output, name in self._running.items():
            self._values[name] = found[output]
        return {name: found[name] for name in self._outputs}

    # --- arrays by name -------------------------------------------------------------------------

    def arrays(self) -> dict[str, Array]:
        """Parameters and state by name; from here on they are inputs of the model."""
        if self._values is None:
            self._values, self._session = self._found_values(), None
        return {name: value.copy() for name, value in self._values.items()}

    def _found_values(self) -> dict[str, Array]:
        held = self._model.graph.initializer
        return {i.name: np.array(self._tensors.array(i)) for i in held if _is_real(i)}

    def write(self, name: str, value: Array) -> None:
        """Replace one array."""
        assert self._values is not None  # whoever knows a name has asked for the arrays
        self._values[name] = np.array(value, self._values[name].dtype)

    def put_back(self, stream: int | None = 0) -> None:
        """Everything as it was found."""
        super().put_back(stream)
        if self._values is not None:
            self._values = self._found_values()

    # --- what happens inside --------------------------------------------------------------------

    def example(self) -> dict[str, Array] | None:
        """Inputs of the shapes that the model states; what is open there is chosen, and told."""
        graph = self._model.graph
        opens = example.is_open(graph, self._dtypes)
        for positions in example.POSITIONS:
            found = example.example(graph, self._dtypes, positions)
            if found is None or not opens or self._fits(found):
                break
        if found is not None:
            shapes = listed([f"{name} {array.shape}" for name, array in found.items()])
            self.notes.append(f"the inputs are made up, in shapes that the file allows: {shapes}")
        return found

    def _fits(self, given: dict[str, Array]) -> bool:
        try:
            self.trace(self.inputs(given), self.modes[0])
        except CannotTraceError:
            return False
        return True

    def trace(self, given: Inputs, training: bool) -> Graph:
        """The graph of the file, with functions written out; it holds one mode alone."""
        from normscope.frameworks.onnx.trace import trace

        arrays = {
            name: array.astype(self._dtypes[name])
            for name, array in zip(given.names, given.arrays, strict=True)
        }
        graph = trace(self._model, arrays, self._tensors)
        if training not in self.modes:
            graph.notes.append(f"the file holds one mode, that of {_MODES[self.modes[0]]}")
        return graph

    @contextmanager
    def watched(self, recorder: Recorder) -> Iterator[None]:
        """Within, every value of the graph is an output, and each node a submodule."""
        plain = self._session
        self._session = self._new_session(graphs.with_all_values(self._model), optimized=False)
        self._recorder = recorder
        try:
            yield
        finally:
            self._recorder, self._session = None, plain

    def _node_by_node(self, feeds: dict[str, Any], recorder: Recorder) -> dict[str, Any]:
        names = [output.name for output in self._session.get_outputs()]
        values = {**feeds, **_run(self._session, names, feeds)}
        for node in self._model.graph.node:
            recorder.enter(node.name or node.output[0], node.op_type, _of(values, node.input))
            recorder.leave(_of(values, node.output))
        return _of(values, self._outputs)


def _run(session: Any, names: list[str], feeds: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(names, session.run(names, feeds), strict=True))


def _of(values: Mapping[str, Any], names: Any) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _free_inputs(graph: Any) -> dict[str, np.dtype[Any]]:
    """The inputs that are no initializers, with their dtypes."""
    constant = {value.name for value in graph.initializer}
    found = {}
    for value in graph.input:
        if value.name not in constant:
            kind = value.type.tensor_type.elem_type
            if not kind or kind not in onnx.TensorProto.DataType.values():
                raise SpecError(f"the input {value.name!r} of the ONNX model is no array")
            found[value.name] = helper.tensor_dtype_to_np_dtype(kind)
    return found


def _is_real(initializer: Any) -> bool:
    return bool(helper.tensor_dtype_to_np_dtype(initializer.data_type).kind == "f")
