"""Errors of libraries put into words: which of them mean that memory ran out, and what the user is told."""

from __future__ import annotations

import errno
import logging

import pytest

from phaseguide.errors import (
    MissingBaseError,
    ModelError,
    PhaseguideError,
    UnexpectedError,
    as_user_error,
    describe_refusal,
    is_out_of_memory,
)

NO_MEMORY = [
    MemoryError(),
    RuntimeError("could not create a primitive"),
    RuntimeError("could not create a memory object"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:114] . DefaultCPUAllocator: can't allocate memory: you tried ..."
    ),
    RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUDA driver error: cudaErrorMemoryAllocation: memory allocation"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
    RuntimeError("unable to mmap 375042383 bytes from file </a/b.safetensors>: Cannot allocate memory (12)"),
    RuntimeError("std::bad_alloc"),
    ValueError("Unable to allocate 9.00 GiB for an array with shape (3, 4)"),
    RuntimeError("Insufficient memory (case 4)"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    OSError("The paging file is too small for this operation to complete"),
    type("OutOfMemoryError", (RuntimeError,), {})("HIP"),
]


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: str(error)[:40] or type(error).__name__)
def test_memory_that_runs_out_is_known_in_every_librarys_words(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert "Not enough memory" in (describe_refusal(error) or "")
    with pytest.raises(KeyError) as later:
        raise KeyError("cleaning up") from error
    assert is_out_of_memory(later.value), "looked through to its cause"
    with pytest.raises(ValueError, match="damaged") as context:
        _fail_while_handling(error)
    assert is_out_of_memory(context.value)


def _fail_while_handling(error: Exception) -> None:
    try:
        raise error
    except Exception:
        raise ValueError("damaged")  # noqa: B904 (the context is what is tested)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        KeyError("allocation of phases"),
        OSError(errno.ENOSPC, "No space left on device"),
        ImportError("libgomp.so: cannot allocate memory in static TLS block"),
        ModelError("Not enough memory for the model; told already"),
    ],
    ids=str,
)
def test_other_errors_are_no_want_of_memory(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_an_error_that_was_told_hides_what_it_came_from() -> None:
    with pytest.raises(PhaseguideError) as told:
        raise PhaseguideError("a.tif: told") from MemoryError()
    assert not is_out_of_memory(told.value)


def test_a_ring_of_causes_comes_to_an_end() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert not is_out_of_memory(first)


def test_a_users_error_stays_of_its_kind_and_forgets_where_it_was_raised() -> None:
    try:
        raise MissingBaseError("no base", "ab" * 32)
    except MissingBaseError as error:
        told = as_user_error(error, "a.tif")
    assert isinstance(told, MissingBaseError) and (str(told), told.sha256) == ("no base", "ab" * 32)
    assert told.__traceback__ is None and told.__context__ is None


def test_a_fault_of_the_program_is_a_sentence_and_goes_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        told = as_user_error(ZeroDivisionError("x"), "a.tif")
    assert isinstance(told, UnexpectedError) and "a.tif" in str(told) and "ZeroDivisionError: x" in str(told)
    assert caplog.records[0].exc_info is not None
    assert "a.tif: " in str(as_user_error(PermissionError(13, "Permission denied", "b"), "a.tif"))
