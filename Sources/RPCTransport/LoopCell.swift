/// A variable of an object that lives on one loop, without Swift's run-time check for overlapping access.
///
/// The check costs a look into a table of the thread at the beginning and the end of each access, dozens of
/// times a turn; that is most of a small call's price. The proof that it is not needed is the owner's: the
/// variable is used on one thread, and no access is open while another one of the same variable begins. Every
/// use holds to it in the simplest way: while it has the value in hand it calls out to nobody, or to an encoder
/// that only appends.
///
/// Its memory is allocated once, with the object that owns it, and freed with it. `public`, though no embedder sees it:
/// the compiler specialises no generic of `package` access for other modules.
@frozen
public struct LoopCell<Value: ~Copyable>: ~Copyable {
  @usableFromInline internal let pointer: UnsafeMutablePointer<Value>

  @inlinable
  public init(_ value: consuming Value) {
    pointer = .allocate(capacity: 1)
    pointer.initialize(to: value)
  }

  @inlinable
  deinit {
    pointer.deinitialize(count: 1)
    pointer.deallocate()
  }

  @inlinable
  public var value: Value {
    @inline(__always) _read { yield pointer.pointee }
    @inline(__always) nonmutating _modify { yield &pointer.pointee }
  }
}
