"""The pickles of torch.save, read without PyTorch and without Python's unpickler.

A small machine goes over the opcodes that torch.save writes and builds dicts, lists, tuples,
numbers, texts and descriptions of tensors. It imports nothing and calls nothing: an object of any
other class stays `Inert`. Names of Python's own modules are refused all the same where checkpoints
do not need them, because attacks are made of them.
"""

from __future__ import annotations

import pickletools
import struct
import sys
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

import numpy as np

from linnet_export.readers.budget import ITEM, Budget

MOST_NESTED = 64

# torch's storage classes, and the names of their elements' types.
STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
    "UntypedStorage": "byte",
}
# Names of Python's own modules that belong to objects which checkpoints hold beside their weights.
_HARMLESS = frozenset(
    """
    argparse.Namespace builtins.bool builtins.bytearray builtins.bytes builtins.complex
    builtins.float builtins.frozenset builtins.getattr builtins.int builtins.list builtins.object
    builtins.range builtins.set builtins.slice builtins.str builtins.tuple collections.Counter
    collections.deque copyreg._reconstructor datetime.date datetime.datetime datetime.timedelta
    datetime.timezone decimal.Decimal fractions.Fraction functools.partial pathlib.Path
    pathlib.PosixPath pathlib.PurePath pathlib.PurePosixPath pathlib.PureWindowsPath
    pathlib.WindowsPath pathlib._local.Path pathlib._local.PosixPath pathlib._local.WindowsPath
    types.SimpleNamespace uuid.UUID
    """.split()
)
_PYTHON2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}


class PickleError(ValueError):
    """A pickle that torch.save does not write."""


class Global(NamedTuple):
    """A name that a pickle refers to."""

    name: str


class Inert(dict[str, Any]):
    """An object of a class that is not known, with its items where it is a kind of dict."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Storage(NamedTuple):
    key: str
    type: str  # of an element, under torch's name


class StoredTensor(NamedTuple):
    """A tensor that has not been read."""

    storage: Storage | None  # None where its kind is none that voices have
    type: str
    offset: int  # elements
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # elements


class _Nested(tuple[Any, ...]):
    """A tuple that knows how many tuples deep it is."""

    depth = 1


def load(file: IO[bytes], budget: Budget, storages: dict[str, str] | None = None) -> Any:
    """The object of one pickle; the file is left behind it.

    storages: gets the key of every storage, and the type of its elements.
    Raises PickleError, or ValueError where it leaves the budget.
    """
    return _Machine(file, budget, {} if storages is None else storages).run()


def _opcodes(file: IO[bytes]) -> Iterator[tuple[str, Any, int]]:
    """The opcodes of a pickle to its end: name, argument, place."""
    try:
        for opcode, argument, at in pickletools.genops(file):
            yield opcode.name, argument, at or 0
    except (ValueError, struct.error, OverflowError) as error:
        raise PickleError(f"its pickle is damaged: {error}") from None


class _Machine:
    def __init__(self, file: IO[bytes], budget: Budget, storages: dict[str, str]) -> None:
        self.file, self.budget, self.storages = file, budget, storages
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.done = 0  # opcodes

    def run(self) -> Any:
        for name, argument, at in _opcodes(self.file):
            self.done += 1
            self.budget.spend(ITEM, "the items of its pickle")
            if name == "STOP":
                break
            if name not in _OPCODES:
                raise PickleError(
                    f"opcode {name} at byte {at} of its pickle, which torch.save does not write"
                )
            _OPCODES[name](self, argument)
        return self.pop()

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack:
            raise PickleError("its pickle takes from an empty stack")
        return self.stack.pop()

    def top(self) -> Any:
        value = self.pop()
        self.push(value)
        return value

    def pop_mark(self) -> list[Any]:
        if not self.marks:
            raise PickleError("its pickle has no mark where it needs one")
        items, self.stack = self.stack, self.marks.pop()
        return items

    def mark(self, _: Any) -> None:
        self.marks.append(self.stack)
        self.stack = []
        if len(self.marks) > MOST_NESTED:
            raise PickleError(f"its pickle is nested more than {MOST_NESTED} deep")

    def tuple(self, items: list[Any]) -> None:
        nested = _Nested(items)
        depth = 1 + max((item.depth for item in items if isinstance(item, _Nested)), default=0)
        if depth > MOST_NESTED:
            raise PickleError(f"its pickle has tuples more than {MOST_NESTED} deep")
        if depth > 1:
            nested.depth = depth
        self.push(nested)

    def put(self, index: int) -> None:
        if not 0 <= index < self.done:  # pickles number what they keep from 0 upwards
            raise PickleError(f"its pickle keeps something in place {index}")
        self.memo[index] = self.top()

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise PickleError(f"its pickle wants place {index}, where nothing was kept")
        self.push(self.memo[index])

    def append(self, values: list[Any]) -> None:
        target = self.top()
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, Inert):
            raise PickleError("its pickle appends to what is no list")

    def set_items(self, items: list[Any]) -> None:
        target = self.top()
        if not isinstance(target, dict) or len(items) % 2:
            raise PickleError("its pickle sets items of what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(key, str):  # neither names nor a config's keys are anything else
                target[key] = value

    def find(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise PickleError("its pickle refers to something without a name")
        module = _PYTHON2.get(module, module)
        whole = f"{module}.{name}"
        is_pythons = module.partition(".")[0] in sys.stdlib_module_names
        if is_pythons and whole not in _HARMLESS and whole not in _CALLS:
            raise PickleError(f"it names {whole}; arbitrary pickles are refused")
        self.push(Global(whole))

    def call(self, function: Any, arguments: Any) -> None:
        """Make what a known function makes; of another, what it would make stays inert."""
        if not isinstance(function, Global):
            self.push(Inert(function.name if isinstance(function, Inert) else "an object"))
            return
        if not isinstance(arguments, tuple):
            raise PickleError(f"{function.name} without arguments")
        self.push(_make(function.name, arguments))

    def persistent(self) -> None:
        pid = self.pop()
        if not (isinstance(pid, tuple) and len(pid) >= 4 and pid[0] == "storage"):
            raise PickleError("a persistent object that is no storage")
        kind, key = pid[1], pid[2]
        name = kind.name.rpartition(".")[2] if isinstance(kind, Global) else ""
        if name not in STORAGES or not isinstance(key, str):
            raise PickleError("a storage of no known type")
        if len(pid) > 5 and pid[5] is not None:
            raise PickleError("a storage that is a view of another")
        self.storages[key] = STORAGES[name]
        self.push(Storage(key, STORAGES[name]))


def _make(name: str, arguments: tuple[Any, ...]) -> Any:
    make = _CALLS.get(name)
    if make is None:
        is_tensor = name.startswith("torch._utils._rebuild_")
        return StoredTensor(None, "of another kind", 0, (), ()) if is_tensor else Inert(name)
    try:
        return make(*arguments)
    except TypeError:
        raise PickleError(f"{name} with {len(arguments)} arguments") from None


def _is_shape(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) <= MOST_NESTED
        and all(isinstance(n, int) and 0 <= n < 1 << 62 for n in value)
    )


def _tensor(
    storage: Any, offset: Any, size: Any, stride: Any, *more: Any, type: str | None = None
) -> StoredTensor:
    if not isinstance(storage, Storage):
        raise PickleError("a tensor without a storage")
    if not _is_shape((offset,)) or not _is_shape(size) or not _is_shape(stride):
        raise PickleError("a tensor whose offset, shape or strides are no numbers")
    if len(size) != len(stride):
        raise PickleError(f"a tensor of shape {tuple(size)} and strides {tuple(stride)}")
    return StoredTensor(storage, type or storage.type, offset, tuple(size), tuple(stride))


def _tensor_of_type(
    storage: Any, offset: Any, size: Any, stride: Any, _: Any, __: Any, type: Any, *more: Any
) -> StoredTensor:
    if not isinstance(type, Global):
        raise PickleError("a tensor without a type")
    name = type.name.removeprefix("torch.")
    return _tensor(storage, offset, size, stride, type=name)


def _tensor_of_class(function: Any, kind: Any, arguments: Any, *more: Any) -> Any:
    if not isinstance(function, Global) or not isinstance(arguments, tuple):
        raise PickleError("a tensor of a class without a function")
    return _make(function.name, arguments)


def _first(data: Any = None, *_: Any) -> Any:
    return data


def _encode(text: Any, encoding: Any = "") -> Any:
    """How protocol 2 holds bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise PickleError("_codecs.encode of what is no text in latin1")
    return text.encode("latin1")


def _dtype(code: Any, *_: Any) -> Any:
    return Global(f"numpy.dtype.{code}") if isinstance(code, str) else Inert("numpy.dtype")


def _scalar(dtype: Any, data: Any = None, *_: Any) -> Any:
    """A number of NumPy's as one of Python's."""
    code = dtype.name.removeprefix("numpy.dtype.") if isinstance(dtype, Global) else ""
    known = len(code) == 2 and code[0] in "fiub" and code[1] in "1248"
    if not known or code == "f1" or not isinstance(data, bytes) or len(data) != int(code[1]):
        return Inert("a NumPy scalar")
    return np.frombuffer(data, f"<{code}")[0].item()


def _dict(*_: Any) -> dict[str, Any]:
    return {}


_CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _dict,
    "collections.defaultdict": _dict,
    "builtins.dict": _dict,
    "torch.Size": _first,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_type,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": _tensor_of_class,
    "_codecs.encode": _encode,
    "numpy.dtype": _dtype,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
}


def _two(machine: _Machine, use: Callable[[Any, Any], None]) -> None:
    second = machine.pop()
    use(machine.pop(), second)


def _tuple_of(n: int) -> Callable[[_Machine, Any], None]:
    def build(machine: _Machine, _: Any) -> None:
        machine.tuple([machine.pop() for _ in range(n)][::-1])

    return build


def _constant(make: Callable[[], Any]) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.push(make())


def _push(machine: _Machine, argument: Any) -> None:
    machine.push(argument)


def _nothing(machine: _Machine, argument: Any) -> None:
    """PROTO and FRAME."""


def _drop(machine: _Machine, _: Any) -> None:
    machine.pop()


def _set_item(machine: _Machine, _: Any) -> None:
    value = machine.pop()
    machine.set_items([machine.pop(), value])


def _append(machine: _Machine, _: Any) -> None:
    machine.append([machine.pop()])


def _add_items(machine: _Machine, _: Any) -> None:
    machine.pop_mark()


def _frozen_set(machine: _Machine, _: Any) -> None:
    machine.pop_mark()
    machine.push(Inert("builtins.frozenset"))


_OPCODES: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _nothing,
    "FRAME": _nothing,
    "MARK": _Machine.mark,
    "POP": _drop,
    "NONE": _constant(lambda: None),
    "NEWTRUE": _constant(lambda: True),
    "NEWFALSE": _constant(lambda: False),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _push),
    **dict.fromkeys(("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), _push),
    **dict.fromkeys(("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"), _push),
    "EMPTY_TUPLE": _tuple_of(0),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "TUPLE": lambda machine, _: machine.tuple(machine.pop_mark()),
    "EMPTY_LIST": _constant(list),
    "APPEND": _append,
    "APPENDS": lambda machine, _: machine.append(machine.pop_mark()),
    "EMPTY_DICT": _constant(dict),
    "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_mark()),
    "EMPTY_SET": _constant(lambda: Inert("builtins.set")),
    "ADDITEMS": _add_items,
    "FROZENSET": _frozen_set,
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Machine.put),
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.get),
    "GLOBAL": lambda machine, name: machine.find(*name.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: _two(machine, machine.find),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), lambda machine, _: _two(machine, machine.call)),
    "BUILD": _drop,  # the attributes of an object
    "BINPERSID": lambda machine, _: machine.persistent(),
}
