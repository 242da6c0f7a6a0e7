# A child of Elixir's Supervisor, which is OTP's, that crashes as soon as it runs, for comparison with ours in the same run.
#
#     elixir supervisor.exs CRASHES
#
# says which versions it runs on, and then answers every line on its standard input with one sample, a JSON object on a
# line of its own:
#
#     > restart
#     < {"case":"restart","ns":3504.5}
#
# It ends with its input. Whatever is not as it should be ends it with an error.
#
# From the first life of the child to the one that does not crash any more, for each crash. Each raises an error, which
# `proc_lib` makes a report of; reports of it and of the supervisor go to the logger, which drops them by their level. Each
# is linked to a process that traps exits, and hears of each end once. The supervisor's limit is more than the crashes.

defmodule Child do
  def child_spec(lap), do: %{id: __MODULE__, start: {__MODULE__, :start, [lap]}}

  def start(lap), do: {:ok, :proc_lib.spawn_link(__MODULE__, :live, [lap])}

  def live({main, hears, lives, crashes}) do
    Process.link(hears)
    before = :counters.get(lives, 1)
    :counters.add(lives, 1, 1)
    if before == 0, do: send(main, {:begun, now()})
    if before < crashes, do: raise("crash #{before}")
    send(main, {:ended, now()})
    Process.sleep(:infinity)
  end

  defp now, do: System.monotonic_time(:nanosecond)
end

defmodule Hears do
  def start(main, crashes) do
    hears =
      spawn_link(fn ->
        Process.flag(:trap_exit, true)
        send(main, {:hears, self()})
        count(crashes)
        send(main, {:told, crashes})
        Process.sleep(:infinity)
      end)

    receive do
      {:hears, ^hears} -> hears
    end
  end

  defp count(0), do: :ok

  defp count(crashes) do
    receive do
      {:EXIT, _, {%RuntimeError{}, _}} -> count(crashes - 1)
    end
  end
end

defmodule Main do
  def run([crashes]) do
    crashes = String.to_integer(crashes)
    Logger.configure(level: :none)
    IO.puts(~s({"elixir":"#{System.version()}","otp":"#{System.otp_release()}"}))

    for line <- IO.stream(:stdio, :line) do
      what = String.trim(line)
      nanoseconds = sample(what, crashes) |> Float.round(3)
      IO.puts(~s({"case":"#{what}","ns":#{nanoseconds}}))
    end
  end

  # What was garbage before is not what is timed.
  defp sample("restart", crashes) do
    :erlang.garbage_collect()
    hears = Hears.start(self(), crashes)
    lives = :counters.new(1, [])
    lap = {self(), hears, lives, crashes}
    limit = [strategy: :one_for_one, max_restarts: crashes + 1, max_seconds: 1]
    {:ok, supervisor} = Supervisor.start_link([{Child, lap}], limit)
    begun = hear(:begun)
    ended = hear(:ended)
    ^crashes = :counters.get(lives, 1) - 1
    ^crashes = hear(:told)
    :ok = Supervisor.stop(supervisor)
    Process.unlink(hears)
    Process.exit(hears, :kill)
    (ended - begun) / crashes
  end

  defp hear(what) do
    receive do
      {^what, heard} -> heard
    after
      60_000 -> exit({:waited_for, what})
    end
  end
end

Main.run(System.argv())
