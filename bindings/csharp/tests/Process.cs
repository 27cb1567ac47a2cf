using System;
using System.Runtime.InteropServices;

// The end of a test program. mono waits for native threads that have ever called into it.
static class Exit
{
    [DllImport("libc")]
    static extern void _exit(int code);

    internal static void With(int code)
    {
        Console.Out.Flush();
        _exit(code);
    }
}
