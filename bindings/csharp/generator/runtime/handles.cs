// An object of Rust. Counted by every call that uses it, so that disposing during a call frees it after the call.
internal sealed class ObjectHandle : SafeHandle
{
    internal delegate ulong Clone(ulong handle, ref RustCallStatus status);
    internal delegate void Free(ulong handle, ref RustCallStatus status);
    readonly ulong raw;
    readonly Clone clone;
    readonly Free free;
    internal ObjectHandle(ulong raw, Clone clone, Free free) : base(IntPtr.Zero, true)
    {
        this.raw = raw;
        this.clone = clone;
        this.free = free;
        SetHandle((IntPtr)1);
    }
    public override bool IsInvalid { get { return handle == IntPtr.Zero; } }
    protected override bool ReleaseHandle()
    {
        var status = default(RustCallStatus);
        free(raw, ref status);
        return status.Code == 0;
    }
    // What a call takes with it. Throws ObjectDisposedException.
    internal ulong ForCall()
    {
        var counted = false;
        try
        {
            DangerousAddRef(ref counted);
            var status = default(RustCallStatus);
            var copy = clone(raw, ref status);
            Calls.Check(ref status);
            return copy;
        }
        finally { if (counted) DangerousRelease(); }
    }
}
// Objects of the host that Rust holds, by handles that are odd: those of Rust are even.
internal sealed class HandleMap<T> where T : class
{
    readonly ConcurrentDictionary<ulong, T> held = new ConcurrentDictionary<ulong, T>();
    long last = -1;
    internal ulong Insert(T value)
    {
        if (value == null) throw new ArgumentNullException("value");
        var handle = (ulong)Interlocked.Add(ref last, 2);
        held[handle] = value;
        return handle;
    }
    internal T Get(ulong handle) { return held[handle]; }
    internal ulong Clone(ulong handle) { return Insert(held[handle]); }
    internal T Remove(ulong handle)
    {
        T value;
        held.TryRemove(handle, out value);
        return value;
    }
    internal int Count { get { return held.Count; } }
}
