using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.Linq;
using System.Threading.Tasks;
using Madang;

// What calls cost, seen from here and without a server: a line of JSON, for `cargo xtask bench ffi`. The middle of the rounds
// counts, after some that warm up.
static class Bench
{
    const int Rounds = 21;
    const int WarmUp = 5;
    const int Calls = 20000;
    const int Waits = 1000;
    const int Messages = 50;

    static int Main()
    {
        Run().GetAwaiter().GetResult();
        Exit.With(0);
        return 0;
    }

    static async Task Run()
    {
        var config = new ClientConfig("http://127.0.0.1:1", new StoreLocation.Memory());
        using (var client = await Client.OpenAsync(config, Tokens.From(_ => Task.FromResult("t"))))
        using (var rooms = await client.RoomsAsync())
        {
            var call = await Middle(() => { for (var n = 0; n < Calls; n++) client.SetMetered(false); return Task.FromResult(Calls); });
            var answer = await Middle(() => { for (var n = 0; n < Calls; n++) client.State(); return Task.FromResult(Calls); });
            var wait = await Middle(async () => { for (var n = 0; n < Waits; n++) await rooms.TotalAsync(); return Waits; });
            var diff = await Diff(client);
            Console.WriteLine(string.Format(CultureInfo.InvariantCulture,
                "{{\"call_ns\":{0:F1},\"answer_ns\":{1:F1},\"wait_us\":{2:F2},\"diff_us\":{3:F1}", call * 1e9, answer * 1e9, wait * 1e6, diff * 1e6) + "}");
        }
    }

    // A timeline of 50 messages, told whole again and again.
    static async Task<double> Diff(Client client)
    {
        var room = await client.CreateRoomAsync(new NewRoom("lunch"));
        for (var n = 0; n < Messages; n++) await client.SendAsync(room, new Draft("number " + n + " of what is said here, as long as people write"));
        using (var timeline = await client.TimelineAsync(room))
        {
            return await Middle(async () =>
            {
                for (var n = 0; n < Messages; n++)
                    if ((await timeline.ItemsAsync()).OfType<TimelineItem.Message>().Count() != Messages) throw new Exception("messages are missing");
                return Messages;
            });
        }
    }

    // Seconds of one.
    static async Task<double> Middle(Func<Task<int>> round)
    {
        var times = new List<double>();
        for (var n = 0; n < WarmUp + Rounds; n++)
        {
            var watch = Stopwatch.StartNew();
            var count = await round();
            if (n >= WarmUp) times.Add(watch.Elapsed.TotalSeconds / count);
        }
        times.Sort();
        return times[Rounds / 2];
    }
}
