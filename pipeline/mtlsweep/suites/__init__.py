"""What is learnt: tasks, datasets, prepared data and networks. Methods, training and results may not enter."""
