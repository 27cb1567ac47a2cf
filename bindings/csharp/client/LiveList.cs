using System;
using System.Collections.Generic;
using System.Collections.ObjectModel;
using System.Threading;
using System.Threading.Tasks;

namespace Madang
{
    /// <summary>
    /// A list for a screen: whole at once, then changed where it was opened, on the SynchronizationContext of WPF, WinUI or
    /// WinForms; without one on a thread of the pool. While the screen is busy, changes wait and are told together. It owns the
    /// list that it follows, and lets go of it at its end.
    /// </summary>
    public sealed class LiveList<T> : ReadOnlyObservableCollection<T>, IDisposable
    {
        readonly SynchronizationContext screen;
        readonly Action stop;

        /// <summary>Ends when the list does: it was let go of, or the client has ended. Fails if a change could not be made.</summary>
        public Task Following { get; private set; }

        LiveList(IEnumerable<T> items, Action stop) : base(new ObservableCollection<T>(items))
        {
            screen = SynchronizationContext.Current;
            this.stop = stop;
        }

        internal static async Task<LiveList<T>> Open<C>(
            Func<CancellationToken, Task<IReadOnlyList<T>>> items,
            Func<CancellationToken, Task<IReadOnlyList<C>>> next,
            Action<C, IList<T>> apply,
            Action stop,
            IDisposable source,
            CancellationToken cancellationToken)
        {
            // Back to where it was called: the list is made there.
            var list = new LiveList<T>(await items(cancellationToken), stop);
            list.Following = Task.Run(async () => { using (source) await list.Follow(next, apply).ConfigureAwait(false); });
            return list;
        }

        async Task Follow<C>(Func<CancellationToken, Task<IReadOnlyList<C>>> next, Action<C, IList<T>> apply)
        {
            IReadOnlyList<C> batch;
            while ((batch = await next(CancellationToken.None).ConfigureAwait(false)) != null)
            {
                var changes = batch;
                await OnScreen(() => { foreach (var change in changes) apply(change, Items); }).ConfigureAwait(false);
            }
        }

        Task OnScreen(Action work)
        {
            if (screen == null) { work(); return Task.CompletedTask; }
            var done = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
            screen.Post(_ =>
            {
                try { work(); done.TrySetResult(true); }
                catch (Exception failure) { done.TrySetException(failure); }
            }, null);
            return done.Task;
        }

        /// <summary>Ends it. The collection stays as it is.</summary>
        public void Dispose() { stop(); }
    }
}
