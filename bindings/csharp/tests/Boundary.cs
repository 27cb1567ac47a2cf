using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Madang;

// What hosts hand over that is wrong, and when: without a server. Each test is a claim.
static class Boundary
{
    static int failed;

    static int Main()
    {
        Run().GetAwaiter().GetResult();
        Exit.With(failed == 0 ? 0 : 1);
        return 0;
    }

    static async Task Run()
    {
        await Claim("null is refused by name", NullIsRefused);
        await Claim("half a pair of surrogates is refused and nothing is kept", HalfASurrogate);
        await Claim("what was taken for a call that is refused is given back", GivenBack);
        await Claim("a text with a NUL and one of 10 MB end in a typed error or arrive as they are", LongAndNul);
        await Claim("a negative duration is refused", NegativeDuration);
        await Claim("times of the years 1 and 9999 are taken", FarTimes);
        await Claim("after Dispose a call throws ObjectDisposedException", AfterDispose);
        await Claim("Dispose during a call lets the call end", DisposeDuringCall);
        await Claim("a wait that is cancelled ends, and the next gets what comes", CancelledWait);
        await Claim("a token that was given up on before the call starts nothing", CancelledBefore);
        await Claim("what a provider throws is not fatal", ThrowingProvider);
        await Claim("a provider that blocks blocks nobody else", BlockingProvider);
        await Claim("a log sink that throws is kept from the client", ThrowingSink);
        await Claim("the log reaches the sink", LogReaches);
        await Claim("what was sent and given up at once is in the outbox", SentAndGivenUp);
        await Claim("a second client on one store fails with StoreBusy", TwoClients);
        await Claim("a command does not wait for a change", CommandDuringWait);
        await Claim("a live list changes on the context it was opened on", LiveListOnContext);
        await Claim("records are equal when all in them is", Equality);
        await Claim("a sentence is there in two languages", Sentences);
        await Claim("objects that nobody disposes are let go of by the finalizer", Finalizers);
        await Claim("in the end nothing is alive", NothingAlive);
    }

    static async Task Claim(string name, Func<Task> test)
    {
        try
        {
            var run = test();
            if (await Task.WhenAny(run, Task.Delay(30000)) != run) throw new Exception("took longer than 30 s");
            await run;
            Console.WriteLine("good    " + name);
        }
        catch (Exception failure) { failed++; Console.WriteLine("FAILED  " + name + "\n" + failure); }
    }

    static void True(bool condition, string what) { if (!condition) throw new Exception("not so: " + what); }

    static async Task<E> Throws<E>(Func<Task> work) where E : Exception
    {
        try { await work(); }
        catch (E thrown) { return thrown; }
        throw new Exception("did not throw " + typeof(E).Name);
    }

    // Nobody listens at port 1.
    static Task<Client> Open(StoreLocation store = null, ITokenProvider tokens = null)
    {
        return Client.OpenAsync(new ClientConfig("http://127.0.0.1:1", store ?? new StoreLocation.Memory()), tokens ?? Tokens.From(_ => Task.FromResult("t")));
    }

    // A client with a room that waits to be made.
    static async Task<string> RoomOf(Client client) { return await client.CreateRoomAsync(new NewRoom("lunch")); }

    static async Task NullIsRefused()
    {
        await Throws<ArgumentNullException>(() => Client.OpenAsync(null, Tokens.From(_ => Task.FromResult("t"))));
        await Throws<ArgumentNullException>(() => Client.OpenAsync(new ClientConfig("http://127.0.0.1:1", new StoreLocation.Memory()), null));
        await Throws<ArgumentNullException>(() => Client.OpenAsync(new ClientConfig(null, new StoreLocation.Memory()), Tokens.From(_ => Task.FromResult("t"))));
        using (var client = await Open())
        {
            await Throws<ArgumentNullException>(() => client.SendAsync("r", null));
            await Throws<ArgumentNullException>(() => client.SendAsync(null, new Draft("x")));
            await Throws<ArgumentNullException>(() => client.InviteAsync("r", new string[] { null }));
        }
    }

    static async Task HalfASurrogate()
    {
        using (var client = await Open())
        {
            var room = await RoomOf(client);
            await Throws<EncoderFallbackException>(() => client.SendAsync(room, new Draft("half \ud83d")));
            await Throws<EncoderFallbackException>(() => client.SetDraftAsync(room, "\udc00"));
            using (var outbox = await client.OutboxAsync()) True((await outbox.ItemsAsync()).Count == 1, "only the room waits");
        }
    }

    // 30 times 10 MB, whose other argument cannot be passed.
    static async Task GivenBack()
    {
        var text = new string('x', 10 << 20);
        using (var client = await Open())
        {
            var before = Memory.Resident();
            for (var n = 0; n < 30; n++) await Throws<EncoderFallbackException>(() => client.SetDraftAsync(text, "\udc00"));
            GC.Collect();
            var grown = (Memory.Resident() - before) / 1024;
            True(grown < 150, "not " + grown + " MiB are held");
        }
    }

    static async Task LongAndNul()
    {
        using (var client = await Open())
        {
            var room = await RoomOf(client);
            var tooLong = await Throws<ClientException>(() => client.SendAsync(room, new Draft(new string('x', 10 << 20))));
            True(tooLong.Kind == ClientErrorKind.Invalid, "10 MB are " + tooLong.Kind);
            await client.SetDraftAsync(room, "a\0b");
            True(await client.DraftAsync(room) == "a\0b", "NUL arrives");
        }
    }

    static async Task NegativeDuration()
    {
        using (var client = await Open())
        {
            await Throws<ArgumentOutOfRangeException>(() => client.DrainAsync(TimeSpan.FromSeconds(-1)));
            True(await client.DrainAsync(TimeSpan.FromSeconds(5)), "an empty outbox is drained");
        }
    }

    static async Task FarTimes()
    {
        using (var client = await Open())
        {
            var room = await RoomOf(client);
            foreach (var time in new[] { DateTimeOffset.MinValue, DateTimeOffset.MaxValue, DateTimeOffset.FromUnixTimeSeconds(-1) })
            {
                // It is taken; whether something is held there is another question.
                try { using (await client.TimelineAtAsync(room, new Anchor.Date(time))) { } }
                catch (ClientException) { }
            }
            await client.SetStatusAsync(UserStatus.Busy, new CustomStatus("x", "y", DateTimeOffset.MaxValue));
        }
    }

    static async Task AfterDispose()
    {
        var client = await Open();
        client.Dispose();
        client.Dispose();
        await Throws<ObjectDisposedException>(() => client.SendAsync("r", new Draft("x")));
        await Throws<ObjectDisposedException>(() => { client.State(); return Task.CompletedTask; });
    }

    static async Task DisposeDuringCall()
    {
        var client = await Open();
        await RoomOf(client);
        var drain = client.DrainAsync(TimeSpan.FromMilliseconds(300));
        client.Dispose();
        True(!await drain, "the call ends by itself");
    }

    static async Task CancelledWait()
    {
        using (var client = await Open())
        using (var rooms = await client.RoomsAsync())
        {
            for (var round = 0; round < 50; round++)
            {
                using (var soon = new CancellationTokenSource(round % 5))
                    await Throws<OperationCanceledException>(() => rooms.NextAsync(soon.Token));
            }
            var next = rooms.NextAsync();
            await RoomOf(client);
            True((await next).Count > 0, "a room comes");
        }
    }

    static async Task CancelledBefore()
    {
        using (var client = await Open())
        using (var over = new CancellationTokenSource())
        {
            over.Cancel();
            await Throws<OperationCanceledException>(() => client.CreateRoomAsync(new NewRoom("never"), over.Token));
            using (var outbox = await client.OutboxAsync()) True((await outbox.ItemsAsync()).Count == 0, "nothing waits");
        }
    }

    sealed class Throwing : ITokenProvider
    {
        internal int Asked;
        public void TokenWanted(TokenRequest request) { Interlocked.Increment(ref Asked); throw new InvalidOperationException("no token today \ud83d"); }
    }

    static async Task ThrowingProvider()
    {
        var tokens = new Throwing();
        using (var client = await Open(null, tokens))
        {
            var failure = await Throws<ClientException>(() => client.SearchUsersAsync("a"));
            True(failure.Message.Contains("no token today"), failure.Message);
            True(tokens.Asked > 0, "it was asked");
        }
    }

    sealed class Blocking : ITokenProvider
    {
        internal readonly ManualResetEventSlim Over = new ManualResetEventSlim();
        public void TokenWanted(TokenRequest request) { using (request) { Over.Wait(); request.Give("t"); } }
    }

    static async Task BlockingProvider()
    {
        var tokens = new Blocking();
        using (var client = await Open(null, tokens))
        {
            var room = await RoomOf(client);
            for (var n = 0; n < 50; n++) await client.SendAsync(room, new Draft("x"));
            tokens.Over.Set();
        }
    }

    sealed class Sink : ILogSink
    {
        internal int Lines;
        public void Log(LogLine line) { Interlocked.Increment(ref Lines); throw new Exception("the host's log is full"); }
    }

    static async Task ThrowingSink()
    {
        var sink = new Sink();
        True(MadangFunctions.SetLogSink(LogLevel.Trace, sink), "the log goes there");
        await OpenDamaged();
        MadangFunctions.SetLogSink(LogLevel.Off, new Sink());
        True(sink.Lines > 0, "it was called");
    }

    // What the log tells of for sure: a file that is no store, and is set aside.
    static async Task OpenDamaged()
    {
        var folder = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), "madang-" + Guid.NewGuid())).FullName;
        var path = Path.Combine(folder, "store");
        File.WriteAllText(path, "no store");
        using (var client = await Open(new StoreLocation.File(path)))
        {
            True(client.Rescued() != null, "it was set aside");
            await client.ShutdownAsync(TimeSpan.Zero);
        }
        Directory.Delete(folder, true);
    }

    sealed class Keeping : ILogSink
    {
        internal readonly TaskCompletionSource<LogLine> First = new TaskCompletionSource<LogLine>(TaskCreationOptions.RunContinuationsAsynchronously);
        public void Log(LogLine line) { First.TrySetResult(line); }
    }

    static async Task LogReaches()
    {
        var sink = new Keeping();
        True(MadangFunctions.SetLogSink(LogLevel.Warn, sink), "the log goes there");
        await OpenDamaged();
        var line = await sink.First.Task;
        True(line.Level == LogLevel.Warn && line.Target.StartsWith("madang_sdk_core"), line.Level + " " + line.Target);
        True(line.Message.StartsWith("the store could not be read and was set aside"), line.Message);
        MadangFunctions.SetLogSink(LogLevel.Off, new Sink());
    }

    static async Task SentAndGivenUp()
    {
        using (var client = await Open())
        {
            var room = await RoomOf(client);
            for (var n = 0; n < 20; n++)
            {
                using (var over = new CancellationTokenSource())
                {
                    var send = client.SendAsync(room, new Draft("number " + n), over.Token);
                    over.Cancel();
                    try { await send; } catch (OperationCanceledException) { }
                }
            }
            await client.SendAsync(room, new Draft("last"));
            using (var outbox = await client.OutboxAsync())
            {
                var texts = (await outbox.ItemsAsync()).Skip(1).Select(entry => entry.Text).ToList();
                True(texts.Count == 21 && texts[0] == "number 0" && texts[20] == "last", string.Join(", ", texts));
            }
        }
    }

    static async Task TwoClients()
    {
        var path = Path.Combine(Path.GetTempPath(), "madang-" + Guid.NewGuid() + ".db");
        using (var client = await Open(new StoreLocation.File(path)))
        {
            var failure = await Throws<ClientException>(() => Open(new StoreLocation.File(path)));
            True(failure.Local == LocalReason.StoreBusy && failure.Kind == ClientErrorKind.Storage, failure.Message);
            await client.ShutdownAsync(TimeSpan.Zero);
        }
        File.Delete(path);
    }

    static async Task CommandDuringWait()
    {
        using (var client = await Open())
        using (var rooms = await client.RoomsAsync())
        {
            var next = rooms.NextAsync();
            for (var n = 0; n < 100; n++) True(await rooms.TotalAsync() == 0, "there is no room");
            await rooms.SetSortAsync(RoomSort.Name);
            True(!next.IsCompleted, "the wait goes on");
            rooms.Stop();
            True(await next == null, "and ends when it is stopped");
        }
    }

    // A screen of one thread.
    sealed class Screen : SynchronizationContext
    {
        readonly System.Collections.Concurrent.BlockingCollection<Action> work = new System.Collections.Concurrent.BlockingCollection<Action>();
        internal readonly Thread Thread;
        internal Screen()
        {
            Thread = new Thread(() => { SetSynchronizationContext(this); foreach (var one in work.GetConsumingEnumerable()) one(); }) { IsBackground = true };
            Thread.Start();
        }
        public override void Post(SendOrPostCallback callback, object state) { work.Add(() => callback(state)); }
    }

    static async Task LiveListOnContext()
    {
        var screen = new Screen();
        var done = new TaskCompletionSource<int>();
        using (var client = await Open())
        {
            screen.Post(async _ =>
            {
                try
                {
                    var rooms = await (await client.RoomsAsync()).ObserveAsync();
                    ((System.Collections.Specialized.INotifyCollectionChanged)rooms).CollectionChanged += (sender, change) =>
                    {
                        if (rooms.Count == 3) done.TrySetResult(Thread.CurrentThread.ManagedThreadId);
                    };
                    for (var n = 0; n < 3; n++) await client.CreateRoomAsync(new NewRoom("room " + n));
                }
                catch (Exception failure) { done.TrySetException(failure); }
            }, null);
            True(await done.Task == screen.Thread.ManagedThreadId, "it changes on the screen's thread");
        }
    }

    static Task Equality()
    {
        True(new Draft("x", new[] { "a" }).Equals(new Draft("x", new List<string> { "a" })), "equal");
        True(new Draft("x", new[] { "a" }).GetHashCode() == new Draft("x", new[] { "a" }).GetHashCode(), "the same hash");
        True(!new Draft("x", new[] { "a" }).Equals(new Draft("x", new[] { "b" })), "not equal");
        True(new Anchor.Message(1).Equals(new Anchor.Message(1)) && !new Anchor.Newest().Equals(new Anchor.FirstUnread()), "cases");
        return Task.CompletedTask;
    }

    static async Task Sentences()
    {
        var failure = await Throws<ClientException>(() => Client.OpenAsync(new ClientConfig("none", new StoreLocation.Memory()), Tokens.From(_ => Task.FromResult("t"))));
        True(failure.Local == LocalReason.AddressInvalid, failure.Message);
        True(failure.Sentence(Language.English).Length > 0 && failure.Sentence(Language.Korean) != failure.Sentence(Language.English), "sentences");
    }

    static async Task Finalizers()
    {
        var before = MadangFunctions.LiveObjects().Lists;
        using (var client = await Open())
        {
            for (var n = 0; n < 20; n++) await client.RoomsAsync();
            for (var look = 0; look < 100 && MadangFunctions.LiveObjects().Lists > before + 2; look++)
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
                await Task.Delay(20);
            }
            // A frame of a method that has run may still hold one.
            True(MadangFunctions.LiveObjects().Lists <= before + 2, "lists are let go of: " + MadangFunctions.LiveObjects().Lists);
        }
    }

    static async Task NothingAlive()
    {
        LiveObjects live = null;
        for (var look = 0; look < 100; look++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            live = MadangFunctions.LiveObjects();
            // The log sink that takes nothing stays.
            if (live.Clients == 0 && live.Calls == 0 && live.Callbacks == 1 && live.TokenRequests == 0 && live.Lists == 0) return;
            await Task.Delay(50);
        }
        throw new Exception("clients " + live.Clients + ", lists " + live.Lists + ", calls " + live.Calls + ", callbacks " + live.Callbacks + ", token requests " + live.TokenRequests);
    }
}
