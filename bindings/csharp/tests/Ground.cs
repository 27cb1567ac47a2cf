using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Text;

// The program with the server: see bindings/scenario.md.
sealed class Ground
{
    readonly StreamWriter input;
    readonly StreamReader output;
    readonly object turn = new object();

    internal string Server { get; private set; }

    internal Ground(string program)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true, UseShellExecute = false };
        var process = Process.Start(start);
        input = new StreamWriter(process.StandardInput.BaseStream, new UTF8Encoding(false)) { AutoFlush = true };
        output = new StreamReader(process.StandardOutput.BaseStream, Encoding.UTF8);
        Server = (string)Answer()["server"];
    }

    Dictionary<string, object> Answer()
    {
        var line = output.ReadLine();
        if (line == null) throw new InvalidOperationException("the ground has ended");
        var answer = (Dictionary<string, object>)Json.Parse(line);
        if (answer.ContainsKey("error")) throw new InvalidOperationException((string)answer["error"]);
        return answer;
    }

    internal Dictionary<string, object> Say(string line)
    {
        lock (turn)
        {
            input.Write(line + "\n");
            return Answer();
        }
    }

    internal void End() { input.Dispose(); }
}
