"""How much of each process and user a search looks at."""

from ipvsd.kernel.search_budgets import OF_PROCESS, OF_USER, Budgets

ROOT, ALICE, BOB = 0, 1000, 1001


def spend_all(budgets, user, first_pid=100):
    """Have processes of a user use up the user's budget."""
    for pid in range(first_pid, first_pid + OF_USER // OF_PROCESS):
        budgets.spend(pid, user, "fd", budgets.left(pid, user), 0)


def test_a_process_gets_no_more_than_its_budget_and_goes_on_there_the_next_time():
    budgets = Budgets()
    assert budgets.left(7, ALICE) == OF_PROCESS
    budgets.spend(7, ALICE, "fd", OF_PROCESS, after=OF_PROCESS)
    budgets.begin()
    assert budgets.resumes_at(7, "fd") == OF_PROCESS and budgets.resumes_at(7, "task") == 0
    budgets.spend(7, ALICE, "fd", 10, after=0)
    assert budgets.resumes_at(7, "fd") == 0, "from the beginning again"


def test_a_user_gets_no_more_than_theirs_and_delays_nobody_else():
    budgets = Budgets()
    spend_all(budgets, ALICE)
    assert budgets.is_spent(900, ALICE) and budgets.left(900, ALICE) == 0
    assert not budgets.is_spent(901, BOB) and budgets.left(901, BOB) == OF_PROCESS
    budgets.begin()
    assert not budgets.is_spent(900, ALICE)


def test_root_has_no_budget_as_a_user():
    budgets = Budgets()
    spend_all(budgets, ROOT)
    assert not budgets.is_spent(900, ROOT) and budgets.left(900, ROOT) == OF_PROCESS


def test_who_had_no_turn_is_first_in_the_next_search():
    budgets = Budgets()
    spend_all(budgets, ALICE)
    assert budgets.is_spent(900, ALICE)
    budgets.begin()
    assert budgets.in_order([1, 2, 900, 901]) == [900, 1, 2, 901]
    assert budgets.in_order([1, 2, 900, 901]) == [1, 2, 900, 901]


def test_a_large_process_is_told_once_while_it_lives():
    budgets = Budgets()
    budgets.in_order([7])
    for _ in range(3):
        budgets.spend(7, ALICE, "fd", OF_PROCESS, after=OF_PROCESS)
    assert budgets.take_large() == [7] and budgets.take_large() == []
    budgets.in_order([])  # it has ended
    budgets.spend(7, ALICE, "fd", OF_PROCESS, after=OF_PROCESS)
    assert budgets.take_large() == [7], "another process with its number"
