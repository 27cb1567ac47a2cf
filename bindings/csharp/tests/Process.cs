using System;
using System.IO;
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

// What this process holds, in KiB.
static class Memory
{
    internal static long Resident()
    {
        foreach (var line in File.ReadAllLines("/proc/self/status"))
            if (line.StartsWith("VmRSS:")) return long.Parse(line.Substring(6).Replace("kB", "").Trim());
        throw new InvalidOperationException("no VmRSS");
    }
}
