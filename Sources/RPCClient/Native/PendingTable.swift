/// The calls that are on the wire of one connection, by id. Ids grow by one, so a ring finds a call by its
/// low bits; one that is overtaken by a whole round moves to a dictionary and costs nobody else anything.
///
/// The table holds what is in it by hand: a call is retained when it goes in and handed over as it comes out,
/// which the compiler's own bookkeeping would do three times.
internal struct PendingTable<Payload: AnyObject>: ~Copyable {
  internal struct Entry {
    /// 0 marks an empty place: no call has that id.
    var callID: UInt64 = 0
    /// Where the frame ends in the stream of all bytes that this connection sends.
    var frameEnd: UInt64 = 0
    /// Nil for a call whose caller has gone: the answer is still owed.
    fileprivate var payload: Unmanaged<Payload>?
  }

  /// What was known of an id.
  internal enum Removed {
    case unknown
    /// Nobody waits for the answer any more.
    case abandoned
    case payload(Payload)
  }

  private var ring: ContiguousArray<Entry>
  private var overtaken: [UInt64: Entry] = [:]
  private var mask: UInt64
  internal private(set) var count = 0
  /// Beyond this many places, stragglers move to the dictionary instead of the ring growing.
  private static var ringMax: Int { 16_384 }

  internal init() {
    ring = ContiguousArray(repeating: Entry(), count: 64)
    mask = 63
  }

  deinit {
    for entry in ring { entry.payload?.release() }
    for entry in overtaken.values { entry.payload?.release() }
  }

  /// Adds a call whose id is above all ids before.
  internal mutating func insert(_ callID: UInt64, _ payload: Payload, frameEnd: UInt64) {
    if ring[Int(callID & mask)].callID != 0 { makeRoom(for: callID) }
    ring[Int(callID & mask)] = Entry(
      callID: callID, frameEnd: frameEnd, payload: Unmanaged.passRetained(payload))
    count += 1
  }

  private mutating func makeRoom(for callID: UInt64) {
    if count * 2 >= ring.count, ring.count < Self.ringMax {
      var larger = ContiguousArray(repeating: Entry(), count: ring.count * 4)
      let largerMask = UInt64(larger.count - 1)
      for entry in ring where entry.callID != 0 {
        let place = Int(entry.callID & largerMask)
        // Two calls of the smaller ring can meet only where one was overtaken in the larger one too.
        let (newer, older) =
          larger[place].callID > entry.callID ? (larger[place], entry) : (entry, larger[place])
        if older.callID != 0 { overtaken[older.callID] = older }
        larger[place] = newer
      }
      ring = larger
      mask = largerMask
    }
    let place = Int(callID & mask)
    if ring[place].callID != 0 {
      overtaken[ring[place].callID] = ring[place]
      ring[place] = Entry()
    }
  }

  /// Takes a call out.
  internal mutating func remove(_ callID: UInt64) -> Removed {
    let place = Int(callID & mask)
    let payload: Unmanaged<Payload>?
    if callID != 0, ring[place].callID == callID {
      payload = ring[place].payload
      ring[place] = Entry()
    } else {
      guard !overtaken.isEmpty, let entry = overtaken.removeValue(forKey: callID) else { return .unknown }
      payload = entry.payload
    }
    count -= 1
    guard let payload else { return .abandoned }
    return .payload(payload.takeRetainedValue())
  }

  /// Forgets the caller and goes on expecting the answer.
  internal mutating func abandon(_ callID: UInt64) {
    let place = Int(callID & mask)
    if ring[place].callID == callID {
      ring[place].payload.take()?.release()
    } else {
      overtaken[callID]?.payload.take()?.release()
    }
  }

  /// Takes out every call whose id is above `callID`, oldest first, and tells where its frame ended; those
  /// that were abandoned are dropped.
  internal mutating func removeAll(above callID: UInt64 = 0) -> [(payload: Payload, frameEnd: UInt64)] {
    var entries: [Entry] = []
    for place in ring.indices where ring[place].callID > callID {
      entries.append(ring[place])
      ring[place] = Entry()
    }
    for (id, entry) in overtaken where id > callID {
      entries.append(entry)
      overtaken[id] = nil
    }
    count -= entries.count
    entries.sort { $0.callID < $1.callID }
    return entries.compactMap { entry in
      entry.payload.map { ($0.takeRetainedValue(), entry.frameEnd) }
    }
  }
}
