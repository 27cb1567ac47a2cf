using System;
using System.Collections.Generic;

namespace Madang
{
    // What went wrong, without a step through Failure, and in words for people.
    public sealed partial class ClientException
    {
        /// <summary>For developers and logs; for people there is <see cref="Sentence"/>.</summary>
        public override string Message { get { return Failure.Kind + ": " + Failure.Message; } }
        /// <summary>What kind of failure.</summary>
        public ClientErrorKind Kind { get { return Failure.Kind; } }
        /// <summary>The server's reason, where it gave one.</summary>
        public ErrorReason? Reason { get { return Failure.Reason; } }
        /// <summary>The client's own reason, where there is one.</summary>
        public LocalReason? Local { get { return Failure.Local; } }
        /// <summary>All fields that break their limits.</summary>
        public IReadOnlyList<FieldViolation> Violations { get { return Failure.Violations; } }
        /// <summary>Do not repeat before.</summary>
        public TimeSpan? RetryAfter { get { return Failure.RetryAfter; } }
        /// <summary>Finds the call in the server's log.</summary>
        public string RequestId { get { return Failure.RequestId; } }
        /// <summary>The failure as a sentence for people, without names and numbers.</summary>
        public string Sentence(Language language) { return MadangFunctions.SentenceOf(Failure, language); }
    }
}
