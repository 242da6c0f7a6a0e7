# What a process knows about its work, and a span of it, for comparison with ours in the same run.
#
#     elixir context.exs OPERATIONS
#
# says which versions it runs on, and then answers every line on its standard input with one sample, a JSON object on a
# line of its own:
#
#     > with
#     < {"case":"with","ns":266.5}
#
# A line is one of these:
#
#     with  Logger's metadata, which has two values, gets a third one for a call, and what was there before is restored
#     get   the oldest of four values of Logger's metadata is looked up
#     span  the clock is read at the beginning and at the end, and what is known then is sent to a GenServer, which keeps
#           the last 256; the sample ends when it has kept the last one
#
# It ends with its input. Whatever is not as it should be ends it with an error.

defmodule Kept do
  use GenServer

  def start, do: GenServer.start_link(__MODULE__, 0)

  def count(kept), do: GenServer.call(kept, :count, :infinity)

  @impl true
  def init(_), do: {:ok, {:queue.new(), 0, 0}}

  @impl true
  def handle_cast({:ended, span}, {queue, 256, count}) do
    {:noreply, {:queue.in(span, :queue.drop(queue)), 256, count + 1}}
  end

  def handle_cast({:ended, span}, {queue, length, count}) do
    {:noreply, {:queue.in(span, queue), length + 1, count + 1}}
  end

  @impl true
  def handle_call(:count, _, {_, _, count} = state), do: {:reply, count, state}
end

defmodule Main do
  require Logger

  def run([operations]) do
    operations = String.to_integer(operations)
    {:ok, kept} = Kept.start()
    IO.puts(~s({"elixir":"#{System.version()}","otp":"#{System.otp_release()}"}))

    for line <- IO.stream(:stdio, :line) do
      what = String.trim(line)
      nanoseconds = sample(what, operations, kept) |> Float.round(3)
      IO.puts(~s({"case":"#{what}","ns":#{nanoseconds}}))
    end
  end

  defp sample("with", operations, _) do
    Logger.reset_metadata(request_id: 123, job: 7)
    with_operation(1_000)
    took = time(fn -> with_operation(operations) end)
    [job: 7, request_id: 123] = Enum.sort(Logger.metadata())
    took / operations
  end

  defp sample("get", operations, _) do
    Logger.reset_metadata(request_id: 123, job: 7, operation: "validate", attempt: 1)
    get(1_000, 0)
    took = time(fn -> 123 = div(get(operations, 0), operations) end)
    took / operations
  end

  defp sample("span", operations, kept) do
    before = Kept.count(kept)
    span(kept, 1_000)
    ^before = Kept.count(kept) - 1_000

    took =
      time(fn ->
        span(kept, operations)
        Kept.count(kept)
      end)

    ^before = Kept.count(kept) - 1_000 - operations
    took / operations
  end

  defp with_operation(0), do: true

  defp with_operation(left) do
    before = Logger.metadata()
    Logger.metadata(operation: "validate")
    Logger.reset_metadata(before)
    with_operation(left - 1)
  end

  defp get(0, sum), do: sum
  defp get(left, sum), do: get(left - 1, sum + Logger.metadata()[:request_id])

  defp span(_, 0), do: true

  defp span(kept, left) do
    began = System.monotonic_time()
    ended = System.monotonic_time()
    GenServer.cast(kept, {:ended, {"call", left, 7, began, ended}})
    span(kept, left - 1)
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
