using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Madang
{
    public sealed partial class RoomList
    {
        /// <summary>The list as a collection that a screen can be bound to. Call it where the screen lives.</summary>
        public Task<LiveList<RoomItem>> ObserveAsync(CancellationToken cancellationToken = default(CancellationToken))
        {
            return LiveList<RoomItem>.Open(ItemsAsync, NextAsync, ListChanges.ApplyTo, Stop, this, cancellationToken);
        }
#if NETSTANDARD2_1
        /// <summary>All changes from now on, batch by batch, until the client ends.</summary>
        public async IAsyncEnumerable<IReadOnlyList<RoomChange>> ChangesAsync(
            [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken = default(CancellationToken))
        {
            while (await NextAsync(cancellationToken).ConfigureAwait(false) is IReadOnlyList<RoomChange> batch) yield return batch;
        }
#endif
    }

    public sealed partial class Timeline
    {
        /// <summary>The list as a collection that a screen can be bound to. Call it where the screen lives.</summary>
        public Task<LiveList<TimelineItem>> ObserveAsync(CancellationToken cancellationToken = default(CancellationToken))
        {
            return LiveList<TimelineItem>.Open(ItemsAsync, NextAsync, ListChanges.ApplyTo, Stop, this, cancellationToken);
        }
#if NETSTANDARD2_1
        /// <summary>All changes from now on, batch by batch, until the client ends.</summary>
        public async IAsyncEnumerable<IReadOnlyList<TimelineChange>> ChangesAsync(
            [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken = default(CancellationToken))
        {
            while (await NextAsync(cancellationToken).ConfigureAwait(false) is IReadOnlyList<TimelineChange> batch) yield return batch;
        }
#endif
    }

    public sealed partial class MemberList
    {
        /// <summary>The list as a collection that a screen can be bound to. Call it where the screen lives.</summary>
        public Task<LiveList<RoomMember>> ObserveAsync(CancellationToken cancellationToken = default(CancellationToken))
        {
            return LiveList<RoomMember>.Open(ItemsAsync, NextAsync, ListChanges.ApplyTo, Stop, this, cancellationToken);
        }
#if NETSTANDARD2_1
        /// <summary>All changes from now on, batch by batch, until the client ends.</summary>
        public async IAsyncEnumerable<IReadOnlyList<MemberChange>> ChangesAsync(
            [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken = default(CancellationToken))
        {
            while (await NextAsync(cancellationToken).ConfigureAwait(false) is IReadOnlyList<MemberChange> batch) yield return batch;
        }
#endif
    }

    public sealed partial class OutboxList
    {
        /// <summary>The list as a collection that a screen can be bound to. Call it where the screen lives.</summary>
        public Task<LiveList<WaitingChange>> ObserveAsync(CancellationToken cancellationToken = default(CancellationToken))
        {
            return LiveList<WaitingChange>.Open(ItemsAsync, NextAsync, ListChanges.ApplyTo, Stop, this, cancellationToken);
        }
#if NETSTANDARD2_1
        /// <summary>All changes from now on, batch by batch, until the client ends.</summary>
        public async IAsyncEnumerable<IReadOnlyList<OutboxChange>> ChangesAsync(
            [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken = default(CancellationToken))
        {
            while (await NextAsync(cancellationToken).ConfigureAwait(false) is IReadOnlyList<OutboxChange> batch) yield return batch;
        }
#endif
    }
}
