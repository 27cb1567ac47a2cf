using System;
using System.Collections.Generic;

namespace Madang
{
    /// <summary>Makes the changes that lists tell.</summary>
    public static class ListChanges
    {
        /// <summary>Makes the change. The list is the one that the changes before have led to.</summary>
        public static void ApplyTo(this RoomChange change, IList<RoomItem> list)
        {
            if (change is RoomChange.Appended appended) Add(list, appended.Items);
            else if (change is RoomChange.Inserted inserted) list.Insert(inserted.Index, inserted.Item);
            else if (change is RoomChange.Changed changed) list[changed.Index] = changed.Item;
            else if (change is RoomChange.Moved moved) Move(list, moved.From, moved.To, moved.Item);
            else if (change is RoomChange.Removed removed) list.RemoveAt(removed.Index);
            else if (change is RoomChange.Truncated truncated) Truncate(list, truncated.Len);
            else if (change is RoomChange.Reset reset) { list.Clear(); Add(list, reset.Items); }
        }

        /// <summary>Makes the change. The list is the one that the changes before have led to.</summary>
        public static void ApplyTo(this TimelineChange change, IList<TimelineItem> list)
        {
            if (change is TimelineChange.Appended appended) Add(list, appended.Items);
            else if (change is TimelineChange.Inserted inserted) list.Insert(inserted.Index, inserted.Item);
            else if (change is TimelineChange.Changed changed) list[changed.Index] = changed.Item;
            else if (change is TimelineChange.Moved moved) Move(list, moved.From, moved.To, moved.Item);
            else if (change is TimelineChange.Removed removed) list.RemoveAt(removed.Index);
            else if (change is TimelineChange.Truncated truncated) Truncate(list, truncated.Len);
            else if (change is TimelineChange.Reset reset) { list.Clear(); Add(list, reset.Items); }
        }

        /// <summary>Makes the change. The list is the one that the changes before have led to.</summary>
        public static void ApplyTo(this MemberChange change, IList<RoomMember> list)
        {
            if (change is MemberChange.Appended appended) Add(list, appended.Items);
            else if (change is MemberChange.Inserted inserted) list.Insert(inserted.Index, inserted.Item);
            else if (change is MemberChange.Changed changed) list[changed.Index] = changed.Item;
            else if (change is MemberChange.Moved moved) Move(list, moved.From, moved.To, moved.Item);
            else if (change is MemberChange.Removed removed) list.RemoveAt(removed.Index);
            else if (change is MemberChange.Truncated truncated) Truncate(list, truncated.Len);
            else if (change is MemberChange.Reset reset) { list.Clear(); Add(list, reset.Items); }
        }

        /// <summary>Makes the change. The list is the one that the changes before have led to.</summary>
        public static void ApplyTo(this OutboxChange change, IList<WaitingChange> list)
        {
            if (change is OutboxChange.Appended appended) Add(list, appended.Items);
            else if (change is OutboxChange.Inserted inserted) list.Insert(inserted.Index, inserted.Item);
            else if (change is OutboxChange.Changed changed) list[changed.Index] = changed.Item;
            else if (change is OutboxChange.Moved moved) Move(list, moved.From, moved.To, moved.Item);
            else if (change is OutboxChange.Removed removed) list.RemoveAt(removed.Index);
            else if (change is OutboxChange.Truncated truncated) Truncate(list, truncated.Len);
            else if (change is OutboxChange.Reset reset) { list.Clear(); Add(list, reset.Items); }
        }

        static void Add<T>(IList<T> list, IReadOnlyList<T> items)
        {
            foreach (var item in items) list.Add(item);
        }

        static void Move<T>(IList<T> list, int from, int to, T item)
        {
            // A screen that is told of a move keeps the selection.
            if (list is System.Collections.ObjectModel.ObservableCollection<T> observed) observed.Move(from, to);
            else { list.RemoveAt(from); list.Insert(to, item); }
            list[to] = item;
        }

        static void Truncate<T>(IList<T> list, int length)
        {
            while (list.Count > length) list.RemoveAt(list.Count - 1);
        }
    }
}
