using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;
using Madang;

// Calls by the hundred thousand, some given up at random, and memory that must not grow: Torture CALLS SEED
static class Torture
{
    // Steps at whose ends memory is looked at.
    const int Steps = 10;
    // Memory of the last step over that of the second: what an allocator may round up. A short run is judged by what no leak
    // of a few hundred bytes a call would keep to: the runtime still warms up.
    const int Long = 1000000;
    const double Growth = 1.02;
    const double GrowthOfShort = 1.25;

    static int Main(string[] arguments)
    {
        var good = Run(int.Parse(arguments[0]), int.Parse(arguments[1])).GetAwaiter().GetResult();
        Exit.With(good ? 0 : 1);
        return 0;
    }

    static async Task<bool> Run(int calls, int seed)
    {
        var random = new Random(seed);
        var sizes = new List<long>();
        var cancelled = 0;
        var watch = Stopwatch.StartNew();
        var config = new ClientConfig("http://127.0.0.1:1", new StoreLocation.Memory());
        using (var client = await Client.OpenAsync(config, Tokens.From(_ => Task.FromResult("t"))))
        using (var rooms = await client.RoomsAsync())
        {
            var room = await client.CreateRoomAsync(new NewRoom("lunch"));
            for (var step = 0; step < Steps; step++)
            {
                for (var call = 0; call < calls / Steps; call++) cancelled += await One(client, rooms, room, random);
                GC.Collect();
                GC.WaitForPendingFinalizers();
                sizes.Add(Memory.Resident());
                Console.WriteLine("{0} calls, {1} given up, {2} KiB, {3} ms", (step + 1) * (calls / Steps), cancelled, sizes[step], watch.ElapsedMilliseconds);
            }
        }
        var flat = sizes[Steps - 1] <= sizes[1] * (calls < Long ? GrowthOfShort : Growth);
        Console.WriteLine(flat ? "memory is flat" : "memory grows");
        return flat;
    }

    static async Task<int> One(Client client, RoomList rooms, string room, Random random)
    {
        switch (random.Next(8))
        {
            case 0: client.State(); return 0;
            case 1: client.Typing(room); return 0;
            case 2: await rooms.ItemsAsync(); return 0;
            case 3:
                await client.SetDraftAsync(room, "draft " + random.Next(100));
                await client.DraftAsync(room);
                return 0;
            case 4:
                try { await client.SettledAsync("unknown"); } catch (ClientException) { }
                return 0;
            case 5:
                try { await client.SendAsync(room, new Draft("")); } catch (ClientException) { }
                return 0;
            case 6:
                using (await client.OutboxAsync()) { }
                return 0;
            default: return await GiveUp(rooms, random);
        }
    }

    static async Task<int> GiveUp(RoomList rooms, Random random)
    {
        using (var over = new CancellationTokenSource())
        {
            var next = rooms.NextAsync(over.Token);
            if (random.Next(2) == 0) await Task.Yield();
            over.Cancel();
            try { await next; return 0; }
            catch (OperationCanceledException) { return 1; }
        }
    }
}
