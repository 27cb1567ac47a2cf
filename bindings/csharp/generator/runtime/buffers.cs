[StructLayout(LayoutKind.Sequential)]
internal struct RustBuffer
{
    public ulong Capacity;
    public ulong Len;
    public IntPtr Data;
}
[StructLayout(LayoutKind.Sequential)]
internal struct ForeignBytes
{
    public int Len;
    public IntPtr Data;
}
[StructLayout(LayoutKind.Sequential)]
internal struct RustCallStatus
{
    public sbyte Code;
    public RustBuffer ErrorBuf;
}
// A value as it goes to Rust. Nothing of Rust's is taken for it before it is passed.
internal struct Encoded
{
    readonly byte[] bytes;
    readonly int length;
    internal Encoded(byte[] bytes, int length) { this.bytes = bytes; this.length = length; }
    internal RustBuffer Pass() { return Buffers.Of(bytes, length); }
}
internal static class Buffers
{
    // What is no text is refused, and not changed in silence.
    internal static readonly UTF8Encoding Utf8 = new UTF8Encoding(false, true);
    internal static RustBuffer Of(byte[] bytes, int length)
    {
        var pin = GCHandle.Alloc(bytes, GCHandleType.Pinned);
        try
        {
            var status = default(RustCallStatus);
            var buffer = Native.__from_bytes__(new ForeignBytes { Len = length, Data = pin.AddrOfPinnedObject() }, ref status);
            Calls.Check(ref status);
            return buffer;
        }
        finally { pin.Free(); }
    }
    internal static byte[] Take(RustBuffer buffer)
    {
        try
        {
            var bytes = new byte[checked((int)buffer.Len)];
            if (bytes.Length > 0) Marshal.Copy(buffer.Data, bytes, 0, bytes.Length);
            return bytes;
        }
        finally
        {
            var status = default(RustCallStatus);
            Native.__free__(buffer, ref status);
        }
    }
    internal static Encoded Encode(string text)
    {
        if (text == null) throw new ArgumentNullException("text");
        var bytes = Utf8.GetBytes(text);
        return new Encoded(bytes, bytes.Length);
    }
    // What the host has thrown must arrive, whatever its words are.
    internal static RustBuffer OfFailure(Exception thrown)
    {
        var bytes = Encoding.UTF8.GetBytes(thrown.GetType().Name + ": " + thrown.Message);
        return Of(bytes, bytes.Length);
    }
    internal static string TakeString(RustBuffer buffer)
    {
        return Utf8.GetString(Take(buffer));
    }
}
