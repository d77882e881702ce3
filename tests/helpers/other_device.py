"""A device that stands for a GPU: torch's "meta", with values.

Tensors that say they are there carry their values all the same, and an operation that
mixes them with tensors of the CPU fails, as on a GPU.
"""

from contextlib import contextmanager

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

AWAY = "meta"
ATEN = torch.ops.aten
#: What torch puts off until the values are read, done at once.
AT_ONCE = {
    ATEN._efficientzerotensor.default: ATEN.zeros.default,
    ATEN._conj.default: ATEN.conj_physical.default,
    ATEN._neg_view.default: ATEN.neg.default,
}


class Away(torch.Tensor):
    """A tensor of the other device, with its values."""

    @staticmethod
    def __new__(cls, held):
        return torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), dtype=held.dtype, device=AWAY,
            storage_offset=held.storage_offset(),
        )  # fmt: skip

    def __init__(self, held):
        self.held = held

    def tolist(self):
        return values(self).tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return apart(func, args, kwargs or {})


def apart(func, args, kwargs):
    """Runs an operation where its tensors are; refuses those of two devices."""
    tensors = [a for a in tree_leaves((args, kwargs)) if isinstance(a, torch.Tensor)]
    away = [t for t in tensors if isinstance(t, Away)]
    target, moves = kwargs.get("device"), func is ATEN._to_copy.default
    if away and func is not ATEN.copy_.default:
        # A GPU takes numbers, tensors of no dimension, from the CPU.
        here = [t for t in tensors if not isinstance(t, Away) and t.dim()]
        if here:
            raise RuntimeError(f"{func}: tensors are on two devices")
    on_away = bool(away) if target is None else torch.device(target).type == AWAY
    if away and not on_away and not moves:
        raise RuntimeError(f"{func}: made on the CPU beside tensors of the device")
    if target is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    func = AT_ONCE.get(func, func)
    inner = tree_map_only(Away, lambda t: t.held, (args, kwargs))
    out = func(*inner[0], **inner[1])
    if func is ATEN.copy_.default:
        return args[0]
    if on_away:
        out = tree_map_only(torch.Tensor, Away, out)
    if away and on_away:
        return return_and_correct_aliasing(func, args, kwargs, out)
    return out


class OtherDevice(TorchDispatchMode):
    """Where the device exists."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return apart(func, args, kwargs or {})


class Written(TorchFunctionMode):
    """Numbers written out for the device: `torch.tensor` of "meta" would drop them."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.tensor and kwargs.get("device") is not None:
            return func(*args, **kwargs | {"device": "cpu"}).to(kwargs["device"])
        return func(*args, **kwargs)


@contextmanager
def other_device():
    with Written(), OtherDevice():
        yield


def values(tensor):
    return tensor.detach().to("cpu").numpy()
