/// <summary>A fault inside the library: it panicked. The call had no result.</summary>
public sealed class PanicException : Exception
{
    internal PanicException(string message) : base(message) { }
}
internal static class Calls
{
    internal delegate Exception Thrown(RustBuffer buffer);
    internal static void Check(ref RustCallStatus status) { Check(ref status, null); }
    internal static void Check(ref RustCallStatus status, Thrown thrown)
    {
        switch (status.Code)
        {
            case 0: return;
            case 1:
                if (thrown == null) { Buffers.Take(status.ErrorBuf); throw new PanicException("an error that was not declared"); }
                throw thrown(status.ErrorBuf);
            case 3: throw new OperationCanceledException();
            default:
                throw new PanicException(status.ErrorBuf.Len > 0 ? Buffers.TakeString(status.ErrorBuf) : "the library panicked");
        }
    }
    internal delegate void Poll(ulong future, UniffiRustFutureContinuationCallback callback, ulong data);
    internal delegate T Complete<T>(ulong future, ref RustCallStatus status);
    internal delegate void CompleteVoid(ulong future, ref RustCallStatus status);
    // Kept for as long as the process lives: Rust calls it.
    static readonly UniffiRustFutureContinuationCallback continuation = Continue;
    static void Continue(ulong data, sbyte code)
    {
        var handle = GCHandle.FromIntPtr((IntPtr)(long)data);
        var waiting = (TaskCompletionSource<sbyte>)handle.Target;
        handle.Free();
        waiting.TrySetResult(code);
    }
    // Waits until a future of Rust has ended or was cancelled; the caller frees it.
    static async Task Ended(ulong future, Poll poll, Action<ulong> cancel, CancellationToken token)
    {
        // Let go of before the future is freed: a cancellation that is on its way is waited for.
        using (token.Register(() => cancel(future)))
        {
            while (true)
            {
                var waiting = new TaskCompletionSource<sbyte>(TaskCreationOptions.RunContinuationsAsynchronously);
                poll(future, continuation, (ulong)(long)GCHandle.ToIntPtr(GCHandle.Alloc(waiting)));
                if (await waiting.Task.ConfigureAwait(false) == 0) return;
            }
        }
    }
    internal static async Task<R> Await<T, R>(Func<ulong> start, Poll poll, Action<ulong> cancel, Action<ulong> free, Complete<T> complete, Func<T, R> lift, Thrown thrown, CancellationToken token)
    {
        token.ThrowIfCancellationRequested();
        var future = start();
        try
        {
            await Ended(future, poll, cancel, token).ConfigureAwait(false);
            var status = default(RustCallStatus);
            var value = complete(future, ref status);
            if (status.Code == 3) throw new OperationCanceledException(token);
            Check(ref status, thrown);
            return lift(value);
        }
        finally { free(future); }
    }
    internal static async Task AwaitVoid(Func<ulong> start, Poll poll, Action<ulong> cancel, Action<ulong> free, CompleteVoid complete, Thrown thrown, CancellationToken token)
    {
        token.ThrowIfCancellationRequested();
        var future = start();
        try
        {
            await Ended(future, poll, cancel, token).ConfigureAwait(false);
            var status = default(RustCallStatus);
            complete(future, ref status);
            if (status.Code == 3) throw new OperationCanceledException(token);
            Check(ref status, thrown);
        }
        finally { free(future); }
    }
}
