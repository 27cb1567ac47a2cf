internal sealed class Reader
{
    readonly byte[] bytes;
    int at;
    internal Reader(RustBuffer buffer) { bytes = Buffers.Take(buffer); }
    internal void End() { if (at != bytes.Length) throw new InvalidOperationException("Rust sent more than was expected"); }
    internal byte U8() { return bytes[at++]; }
    internal sbyte I8() { return (sbyte)U8(); }
    internal ushort U16() { return (ushort)((U8() << 8) | U8()); }
    internal short I16() { return (short)U16(); }
    internal uint U32() { return ((uint)U16() << 16) | U16(); }
    internal int I32() { return (int)U32(); }
    internal ulong U64() { return ((ulong)U32() << 32) | U32(); }
    internal long I64() { return (long)U64(); }
    internal float F32() { return BitConverter.ToSingle(BitConverter.GetBytes(I32()), 0); }
    internal double F64() { return BitConverter.Int64BitsToDouble(I64()); }
    internal bool Bool() { return U8() != 0; }
    internal byte[] Bytes()
    {
        var length = I32();
        var copy = new byte[length];
        Buffer.BlockCopy(bytes, at, copy, 0, length);
        at += length;
        return copy;
    }
    internal string String()
    {
        var length = I32();
        var text = Buffers.Utf8.GetString(bytes, at, length);
        at += length;
        return text;
    }
    // A time that C# does not have becomes the first or the last that it has.
    internal DateTimeOffset Timestamp()
    {
        var seconds = I64();
        var ticks = U32() / 100;
        if (seconds < Times.FirstSecond) return DateTimeOffset.MinValue;
        if (seconds > Times.LastSecond) return DateTimeOffset.MaxValue;
        var time = DateTimeOffset.FromUnixTimeSeconds(seconds);
        // Before 1970 the parts of a second count away from it.
        return seconds >= 0 ? time.AddTicks(ticks) : seconds == Times.FirstSecond ? time : time.AddTicks(-(long)ticks);
    }
    internal TimeSpan Duration()
    {
        var seconds = U64();
        var ticks = U32() / 100;
        if (seconds >= Times.LongestSeconds) return TimeSpan.MaxValue;
        return new TimeSpan((long)seconds * TimeSpan.TicksPerSecond + ticks);
    }
}
internal static class Times
{
    internal const long FirstSecond = -62135596800;
    internal const long LastSecond = 253402300799;
    internal const ulong LongestSeconds = 922337203685;
    internal const long UnixTicks = 621355968000000000;
}
internal sealed class Writer
{
    byte[] bytes = new byte[256];
    int length;
    internal Encoded Done() { return new Encoded(bytes, length); }
    void Room(int more)
    {
        var needed = checked(length + more);
        if (needed > bytes.Length) Array.Resize(ref bytes, Math.Max(needed, bytes.Length < 1 << 29 ? bytes.Length * 2 : needed));
    }
    internal void U8(byte value) { Room(1); bytes[length++] = value; }
    internal void I8(sbyte value) { U8((byte)value); }
    internal void U16(ushort value) { U8((byte)(value >> 8)); U8((byte)value); }
    internal void I16(short value) { U16((ushort)value); }
    internal void U32(uint value) { U16((ushort)(value >> 16)); U16((ushort)value); }
    internal void I32(int value) { U32((uint)value); }
    internal void U64(ulong value) { U32((uint)(value >> 32)); U32((uint)value); }
    internal void I64(long value) { U64((ulong)value); }
    internal void F32(float value) { I32(BitConverter.ToInt32(BitConverter.GetBytes(value), 0)); }
    internal void F64(double value) { I64(BitConverter.DoubleToInt64Bits(value)); }
    internal void Bool(bool value) { U8(value ? (byte)1 : (byte)0); }
    internal void Bytes(byte[] value)
    {
        if (value == null) throw new ArgumentNullException("value");
        I32(value.Length);
        Room(value.Length);
        Buffer.BlockCopy(value, 0, bytes, length, value.Length);
        length += value.Length;
    }
    internal void String(string value)
    {
        if (value == null) throw new ArgumentNullException("value");
        var size = Buffers.Utf8.GetByteCount(value);
        I32(size);
        Room(size);
        length += Buffers.Utf8.GetBytes(value, 0, value.Length, bytes, length);
    }
    internal void Timestamp(DateTimeOffset value)
    {
        var ticks = value.UtcTicks - Times.UnixTicks;
        I64(ticks / TimeSpan.TicksPerSecond);
        U32((uint)(Math.Abs(ticks % TimeSpan.TicksPerSecond) * 100));
    }
    internal void Duration(TimeSpan value)
    {
        if (value < TimeSpan.Zero) throw new ArgumentOutOfRangeException("value", "a duration cannot be negative");
        U64((ulong)(value.Ticks / TimeSpan.TicksPerSecond));
        U32((uint)(value.Ticks % TimeSpan.TicksPerSecond * 100));
    }
}
internal static class Same
{
    // Values are equal when all that is in them is.
    internal static bool As(object one, object other)
    {
        if (one == null || other == null) return one == other;
        var text = one as string;
        var left = one as System.Collections.IEnumerable;
        var right = other as System.Collections.IEnumerable;
        if (text != null || left == null || right == null) return one.Equals(other);
        var rest = right.GetEnumerator();
        foreach (var item in left)
        {
            if (!rest.MoveNext() || !As(item, rest.Current)) return false;
        }
        return !rest.MoveNext();
    }
    internal static int Hash(object value)
    {
        return value == null || value is System.Collections.IEnumerable && !(value is string) ? 0 : value.GetHashCode();
    }
}
