# Events deduplicated in a table of ETS and told to a handler, for comparison with ours in the same run.
#
#     elixir events.exs KEYS
#
# says which versions it runs on, and then answers every line on its standard input with one sample, a JSON object on a
# line of its own:
#
#     > suppressed
#     < {"case":"suppressed","ns":266.5}
#
# A line is one of these:
#
#     suppressed  KEYS keys, one after the other, each of which has passed a moment ago
#     passing     keys that were never there: noted, and the event told to one handler, which counts
#     telling     only the second half of it
#
# It ends with its input. Whatever is not as it should be ends it with an error.
#
# A public table with read concurrency has the time at which each key passed last; what is told goes to whoever a second
# table says is attached to the event, each called by name, with failures caught: the way of the `telemetry` library of that
# world, which is not part of its distribution.

defmodule Dedup do
  @window 3_600_000_000_000

  def start, do: :ets.new(__MODULE__, [:named_table, :public, :set, read_concurrency: true])

  @doc "Whether the event passes."
  def passes?(key) do
    now = System.monotonic_time(:nanosecond)

    case :ets.lookup(__MODULE__, key) do
      [{_, last}] when now - last < @window -> false
      _ -> :ets.insert(__MODULE__, {key, now})
    end
  end

  def clear, do: :ets.delete_all_objects(__MODULE__)
end

defmodule Tell do
  def start, do: :ets.new(__MODULE__, [:named_table, :public, :duplicate_bag, read_concurrency: true])

  def attach(id, event, module, function, config) do
    :ets.insert(__MODULE__, {event, id, module, function, config})
  end

  def execute(event, measurements, metadata) do
    for {_, id, module, function, config} <- :ets.lookup(__MODULE__, event) do
      try do
        apply(module, function, [event, measurements, metadata, config])
      catch
        _, _ -> :ets.match_delete(__MODULE__, {:_, id, :_, :_, :_})
      end
    end

    :ok
  end
end

defmodule Handler do
  def handle(_event, %{count: count}, _metadata, counter), do: :counters.add(counter, 1, count)
end

defmodule Main do
  @events 100_000
  @event [:bench, :beam, :event]

  def run([keys]) do
    keys = String.to_integer(keys)
    Dedup.start()
    Tell.start()
    counter = :counters.new(1, [:write_concurrency])
    Tell.attach("counting", @event, Handler, :handle, counter)
    IO.puts(~s({"elixir":"#{System.version()}","otp":"#{System.otp_release()}"}))

    for line <- IO.stream(:stdio, :line) do
      what = String.trim(line)
      nanoseconds = sample(what, keys, counter) |> Float.round(3)
      IO.puts(~s({"case":"#{what}","ns":#{nanoseconds}}))
    end
  end

  defp sample("suppressed", keys, _) do
    for key <- 0..(keys - 1), do: Dedup.passes?({@event, key})
    suppress(1_000, keys, 0)
    took = time(fn -> @events = suppress(@events, keys, 0) end)
    took / @events
  end

  defp sample("passing", _, counter) do
    Dedup.clear()
    before = :counters.get(counter, 1)
    pass(0, 10_000)
    took = time(fn -> pass(10_000, 10_000 + @events) end)
    ^before = :counters.get(counter, 1) - 10_000 - @events
    took / @events
  end

  defp sample("telling", _, counter) do
    before = :counters.get(counter, 1)
    tell(10_000)
    took = time(fn -> tell(@events) end)
    ^before = :counters.get(counter, 1) - 10_000 - @events
    took / @events
  end

  defp suppress(0, _, suppressed), do: suppressed

  defp suppress(left, keys, suppressed) do
    case Dedup.passes?({@event, rem(left, keys)}) do
      false -> suppress(left - 1, keys, suppressed + 1)
      true -> suppress(left - 1, keys, suppressed)
    end
  end

  defp pass(to, to), do: true

  defp pass(key, to) do
    true = Dedup.passes?({@event, key})
    Tell.execute(@event, %{count: 1}, %{key: key})
    pass(key + 1, to)
  end

  defp tell(0), do: true

  defp tell(left) do
    Tell.execute(@event, %{count: 1}, %{key: left})
    tell(left - 1)
  end

  # What was garbage before is not what is timed.
  defp time(run) do
    :erlang.garbage_collect()
    begun = System.monotonic_time(:nanosecond)
    true = run.() != nil
    System.monotonic_time(:nanosecond) - begun
  end
end

Main.run(System.argv())
